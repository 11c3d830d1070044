#include "characters.h"

namespace smolforge {
namespace {

int length_of(uint8_t first) {
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first < 0xe0) return 2;
    if (first >= 0xe0 && first < 0xf0) return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

constexpr Char kFirst[] = {0, 0, 0x80, 0x800, 0x10000};  // that needs so many bytes

}  // namespace

void decode(const uint8_t* text, size_t bytes, std::vector<Char>& out) {
    out.clear();
    out.reserve(bytes);
    for (size_t i = 0; i < bytes;) {
        const int length = length_of(text[i]);
        if (length == 1) {
            out.push_back(text[i++]);
            continue;
        }
        bool whole = length > 0 && i + static_cast<size_t>(length) <= bytes;
        Char c = whole ? text[i] & (0xff >> (length + 1)) : 0;
        for (int k = 1; whole && k < length; ++k) {
            whole = (text[i + static_cast<size_t>(k)] & 0xc0) == 0x80;
            c = c << 6 | (text[i + static_cast<size_t>(k)] & 0x3f);
        }
        whole = whole && c >= kFirst[length] && c < kCodePoints && (c < 0xd800 || c > 0xdfff);
        out.push_back(whole ? c : 0xfffd);
        i += whole ? static_cast<size_t>(length) : 1;
    }
}

void split_lines(Span s, const Characters& is, std::vector<Span>& out) {
    out.clear();
    const Char* begin = s.begin;
    for (const Char* p = s.begin; p < s.end; ++p) {
        if (!is.is(*p, kBreak)) continue;
        out.push_back({begin, p});
        if (*p == '\r' && p + 1 < s.end && p[1] == '\n') ++p;
        begin = p + 1;
    }
    if (begin < s.end) out.push_back({begin, s.end});
}

void encode(Span word, std::vector<uint8_t>& out) {
    out.clear();
    const auto tail = [&](Char c, int shift) { out.push_back(static_cast<uint8_t>(0x80 | (c >> shift & 0x3f))); };
    for (const Char* p = word.begin; p < word.end; ++p) {
        const Char c = *p;
        if (c < 0x80) {
            out.push_back(static_cast<uint8_t>(c));
        } else if (c < 0x800) {
            out.push_back(static_cast<uint8_t>(0xc0 | c >> 6));
            tail(c, 0);
        } else if (c < 0x10000) {
            out.push_back(static_cast<uint8_t>(0xe0 | c >> 12));
            tail(c, 6);
            tail(c, 0);
        } else {
            out.push_back(static_cast<uint8_t>(0xf0 | c >> 18));
            tail(c, 12);
            tail(c, 6);
            tail(c, 0);
        }
    }
}

}  // namespace smolforge
