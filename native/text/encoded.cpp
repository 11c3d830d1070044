#include <algorithm>

#include "features.h"

namespace smolforge {
namespace {

constexpr size_t kShortestRun = 64, kFewestBytes = 16, kMostDigits = 8, kMostSeparators = 16;

bool hex(Char c) { return Characters::digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Base64 has digits and letters of both cases, hexadecimal data digits and a to f; a long word or path has not.
bool looks_encoded(Span run) {
    bool digit = false, upper = false, lower = false, plain = true;
    for (const Char* p = run.begin; p < run.end; ++p) {
        digit = digit || Characters::digit(*p);
        upper = upper || (*p >= 'A' && *p <= 'Z');
        lower = lower || (*p >= 'a' && *p <= 'z');
        plain = plain && hex(*p);
    }
    return digit && (plain || (upper && lower));
}

// Length of an escaped byte at `p`: 0x41, \x41 or \u0041, and what separates it from the next.
size_t escaped(const Char* p, const Char* end, const Characters& is) {
    if (end - p < 3) return 0;
    const bool begins = (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) || (p[0] == '\\' && (p[1] == 'x' || p[1] == 'u'));
    if (!begins || !hex(p[2])) return 0;
    const Char* q = p + 2;
    while (q < end && q < p + 2 + kMostDigits && hex(*q)) ++q;
    const Char* const last = q + kMostSeparators;
    while (q < end && q < last && (*q == ',' || *q == ';' || is.is(*q, kSpace))) ++q;
    return static_cast<size_t>(q - p);
}

}  // namespace

Encoded encoded_data(Span text, const Characters& is) {
    Encoded found;
    const auto take = [&](size_t size) {
        found.characters += size;
        found.longest = std::max(found.longest, size);
    };
    for (const Char* p = text.begin; p < text.end;) {
        const Char* begin = p;
        while (p < text.end && is.is(*p, kEncoded)) ++p;
        if (static_cast<size_t>(p - begin) >= kShortestRun && looks_encoded({begin, p})) take(static_cast<size_t>(p - begin));
        p += p < text.end;
    }
    for (const Char* p = text.begin; p < text.end;) {
        size_t bytes = 0, size = 0;
        while (const size_t more = *p == '0' || *p == '\\' ? escaped(p + size, text.end, is) : 0) {
            size += more;
            ++bytes;
        }
        if (bytes >= kFewestBytes) take(size);
        p += bytes >= kFewestBytes ? size : 1;
    }
    return found;
}

}  // namespace smolforge
