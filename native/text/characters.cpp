#include "characters.h"

namespace smolforge {
namespace {

int length_of(uint8_t first) {
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first < 0xe0) return 2;
    if (first >= 0xe0 && first < 0xf0) return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

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
        whole = whole && c < kCodePoints;
        out.push_back(whole ? c : 0xfffd);
        i += whole ? static_cast<size_t>(length) : 1;
    }
}

}  // namespace smolforge
