// Words as our own rules and shingles count them (smolforge/corpus/text/words.py: words): runs of letters and digits, joined by an
// apostrophe or hyphen inside; a Han character is a word; French and Italian elided articles are words of their own.
#pragma once

#include <vector>

#include "characters.h"

namespace smolforge {

enum LanguageTrait : uint8_t { kElides = 1, kVowelMarks = 2 };  // French, Italian; Arabic

class PlainWords {
  public:
    explicit PlainWords(Characters characters) : is_(characters) {}

    // Replaces `out` by the words of `text`; with kVowelMarks they lie in memory of this object, until the next call.
    void split(Span text, uint8_t traits, std::vector<Span>& out);

    const Characters& characters() const { return is_; }

  private:
    bool inner(Char c) const { return is_.is(c, kAlnum) && !is_.is(c, kHan); }

    Characters is_;
    std::vector<Char> bare_;  // a text without vowel marks
};

}  // namespace smolforge
