#include "words.h"

#include <algorithm>
#include <string_view>

namespace smolforge {
namespace {

bool apostrophe(Char c) { return c == '\'' || c == 0x2019; }

// The small letter that a letter equals when case is ignored; only what occurs in the lists below matters.
Char small(Char c) {
    if (c >= 'A' && c <= 'Z') return c + 32;
    return c == 0x17f ? 's' : c == 0x130 || c == 0x131 ? 'i' : c;  // long s; i with and without a dot
}

// Length of an elided article with its apostrophe at the beginning of a word, or 0.
size_t elision(Span word) {
    constexpr std::string_view letters = "cdjlmnst";
    constexpr std::u32string_view longer[] = {U"qu",   U"jusqu", U"lorsqu", U"puisqu", U"un",
                                              U"dell", U"all",   U"nell",   U"sull",   U"dall", U"quell"};
    char32_t front[7];
    size_t n = 0;
    while (n < 7 && n < word.size() && !apostrophe(word.begin[n])) {
        front[n] = small(word.begin[n]);
        ++n;
    }
    if (n == 0 || n >= word.size() || !apostrophe(word.begin[n])) return 0;
    const bool known = n == 1 ? front[0] < 128 && letters.find(static_cast<char>(front[0])) != letters.npos
                              : std::find(std::begin(longer), std::end(longer), std::u32string_view(front, n)) != std::end(longer);
    return known ? n + 1 : 0;
}

}  // namespace

void PlainWords::split(Span text, uint8_t traits, std::vector<Span>& out) {
    out.clear();
    if (traits & kVowelMarks) {
        bare_.clear();
        std::copy_if(text.begin, text.end, std::back_inserter(bare_), [&](Char c) { return !is_.is(c, kArabicMark); });
        text = {bare_.data(), bare_.data() + bare_.size()};
    }
    for (const Char* p = text.begin; p < text.end;) {
        if (is_.is(*p, kHan)) {
            out.push_back({p, p + 1});
            ++p;
            continue;
        }
        if (!inner(*p)) {
            ++p;
            continue;
        }
        const Char* begin = p;
        bool joined = false;
        while (p < text.end && inner(*p)) {
            ++p;
            const bool joint = p + 1 < text.end && (apostrophe(*p) || *p == '-') && inner(p[1]);
            joined = joined || joint;
            p += joint;
        }
        Span word{begin, p};
        if (const size_t front = joined && (traits & kElides) ? elision(word) : 0) {
            out.push_back({begin, begin + front});
            word.begin += front;
        }
        out.push_back(word);
    }
}

}  // namespace smolforge
