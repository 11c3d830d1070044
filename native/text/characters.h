// What the text kernels know of a character: one row of flags a code point, made by Python from its own Unicode tables
// (smolforge/corpus/text/characters.py has the same names), so that both sides agree on every character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace smolforge {

using Char = uint32_t;

enum Flag : uint32_t {
    kAlpha = 1 << 0,      // str.isalpha
    kLower = 1 << 1,      // a letter that is not upper case: letters without case are both
    kUpper = 1 << 2,      // a letter that is not lower case
    kSpace = 1 << 3,      // str.isspace
    kBreak = 1 << 4,      // str.splitlines ends a line here
    kSymbol = 1 << 5,     // counts for no word by itself (FineWeb's list of punctuation)
    kAffix = 1 << 6,      // cut from the beginning and the end of a word
    kQuote = 1 << 7,      // a quotation mark, cut from both ends as well
    kCurrency = 1 << 8,
    kIcon = 1 << 9,       // general category So: a token of its own wherever it stands
    kSentence = 1 << 10,  // ends a sentence
    kPunctuation = 1 << 11,  // general category P
    kTerminal = 1 << 12,  // ends a line properly
    kHyphen = 1 << 13,
    // Of our own words and features:
    kAlnum = 1 << 14,      // str.isalnum
    kHan = 1 << 15,        // a word by itself
    kIsUpper = 1 << 16,    // str.isupper of the character
    kNotUpper = 1 << 17,   // lower or title case: a line with one is no upper-case line
    kLineEnd = 1 << 18,    // ends a line properly, in any of our languages
    kBullet = 1 << 19,
    kArabicMark = 1 << 20,  // short vowels and tatweel: no part of an Arabic word
    kMath = 1 << 21,
    kEncoded = 1 << 22,  // base64 and hexadecimal digits
    kLatin = 1 << 23,    // blocks of scripts
    kArabic = 1 << 24,
    kCyrillic = 1 << 25,
};

constexpr Char kCodePoints = 0x110000;

class Characters {
  public:
    explicit Characters(const uint32_t* flags) : flags_(flags) {}  // [kCodePoints]
    bool is(Char c, uint32_t flag) const { return flags_[c] & flag; }
    static bool digit(Char c) { return c >= '0' && c <= '9'; }

  private:
    const uint32_t* flags_;
};

struct Span {  // of characters
    const Char* begin;
    const Char* end;
    size_t size() const { return static_cast<size_t>(end - begin); }
    bool empty() const { return begin == end; }
};

// As str.strip.
inline Span strip(Span s, const Characters& is) {
    while (s.begin < s.end && is.is(*s.begin, kSpace)) ++s.begin;
    while (s.begin < s.end && is.is(s.end[-1], kSpace)) --s.end;
    return s;
}

// As str.splitlines.
void split_lines(Span s, const Characters& is, std::vector<Span>& out);

// UTF-8 (valid, as Arrow and Python write it) to code points; whatever is not becomes U+FFFD, a byte at a time.
void decode(const uint8_t* text, size_t bytes, std::vector<Char>& out);

// Code points to UTF-8, replacing `out`.
void encode(Span text, std::vector<uint8_t>& out);

}  // namespace smolforge
