#include "english.h"

#include <algorithm>
#include <array>

namespace smolforge {
namespace {

constexpr size_t kLongestException = 12;

size_t dots(const Char* at, const Char* end) {  // length of a run of two and more
    const Char* p = at;
    while (p < end && *p == '.') ++p;
    return p - at >= 2 ? static_cast<size_t>(p - at) : 0;
}

bool apostrophe(Char c) { return c == '\'' || c == 0x2019; }

// Units that a number may carry, longest first.
constexpr std::array<const char*, 35> kUnits = {"km/h", "kmh", "mph", "hPa", "mbar", "m/s", "km", "dm", "cm", "mm", "ha", "nm", "yd",
                                                "in", "ft", "kg", "mg", "lb", "oz", "Pa", "mb", "MB", "kb", "KB", "gb", "GB", "tb",
                                                "TB", "m", "g", "t", "T", "G", "M", "K"};

size_t unit(Span s) {
    for (const char* name : kUnits) {
        const size_t length = std::char_traits<char>::length(name);
        if (s.size() > length && std::equal(name, name + length, s.end - length) && Characters::digit(*(s.end - length - 1))) return length;
    }
    return 0;
}

}  // namespace

void EnglishWords::split(Span text, std::vector<Span>& out) {
    for (const Char* p = text.begin; p < text.end;) {
        while (p < text.end && is_.is(*p, kSpace)) ++p;
        const Char* begin = p;
        while (p < text.end && !is_.is(*p, kSpace)) ++p;
        if (begin < p) split_chunk({begin, p}, out);
    }
}

const std::vector<int>* EnglishWords::exception(Span chunk) {
    if (chunk.empty() || chunk.size() > kLongestException) return nullptr;
    key_.assign(chunk.begin, chunk.end);
    const auto found = exceptions_.find(key_);
    return found == exceptions_.end() ? nullptr : &found->second;
}

void EnglishWords::split_chunk(Span s, std::vector<Span>& out) {
    const bool plain = std::all_of(s.begin, s.end, [&](Char c) { return is_.is(c, kAlpha); });
    const std::vector<int>* pieces = exception(s);
    behind_.clear();
    while (!plain && pieces == nullptr && !s.empty()) {
        const size_t front = prefix(s), back = suffix({s.begin + front, s.end});
        if (front == 0 && back == 0) break;
        if (front > 0) {
            out.push_back({s.begin, s.begin + front});
            if ((pieces = exception({s.begin + front, s.end})) != nullptr) {
                s.begin += front;
                break;
            }
        }
        if (back > 0) behind_.push_back({s.end - back, s.end});
        s = {s.begin + front, s.end - back};
        pieces = exception(s);
    }
    if (pieces != nullptr) {
        for (const int length : *pieces) {
            out.push_back({s.begin, s.begin + length});
            s.begin += length;
        }
    } else if (plain) {
        out.push_back(s);
    } else if (!s.empty()) {
        split_middle(s, out);
    }
    out.insert(out.end(), behind_.rbegin(), behind_.rend());
}

void EnglishWords::split_middle(Span s, std::vector<Span>& out) const {
    if (address(s)) return out.push_back(s);
    const Char* start = s.begin;
    for (const Char* p = s.begin; p < s.end;) {
        const size_t mark = infix(s, p);
        if (mark == 0 || p == start) {
            p += mark ? mark : 1;
            continue;
        }
        out.push_back({start, p});
        out.push_back({p, p + mark});
        start = p += mark;
    }
    if (start < s.end) out.push_back({start, s.end});
}

size_t EnglishWords::prefix(Span s) const {
    if (s.empty()) return 0;
    const Char c = *s.begin, next = s.size() > 1 ? s.begin[1] : 0;
    if (c == '+') return Characters::digit(next) ? 0 : 1;
    if (c == 0xa7 || c == '%' || c == '=' || c == 0x2014 || c == 0x2013) return 1;
    if (c == 0x2026) return next == 0x2026 ? 2 : 1;
    if (c == '.') return dots(s.begin, s.end);
    if ((c == 'U' && next == 'S' && s.size() > 2 && s.begin[2] == '$')) return 3;
    if ((c == 'C' || c == 'A') && next == '$') return 2;
    return is_.is(c, kAffix | kQuote | kCurrency | kIcon) ? 1 : 0;
}

size_t EnglishWords::suffix(Span s) const {
    if (s.empty()) return 0;
    const size_t n = s.size();
    const Char c = s.end[-1], before = n > 1 ? s.end[-2] : 0;
    if ((c == 's' || c == 'S') && apostrophe(before)) return 2;
    if (c == 0x2026) return before == 0x2026 ? 2 : 1;
    if (c == '.') {
        size_t run = 0;
        while (run < n && s.end[-1 - static_cast<ptrdiff_t>(run)] == '.') ++run;
        if (run >= 2) return run;
        if (n > 2 && s.end[-3] == 0xb0 && (before == 'F' || before == 'f' || before == 'C' || before == 'c' || before == 'K' || before == 'k')) return 1;
        if (Characters::digit(before) || is_.is(before, kLower | kAffix | kQuote) || before == '%' || before == 0xb2 || before == '-' ||
            before == '+' || before == '|')
            return 1;
        return n > 2 && is_.is(before, kUpper) && is_.is(s.end[-3], kUpper) ? 1 : 0;
    }
    if (c == 0x2014 || c == 0x2013 || is_.is(c, kAffix | kQuote | kIcon)) return 1;
    if (Characters::digit(before) && (c == '+' || c == '%' || is_.is(c, kCurrency))) return 1;
    return n > 1 ? unit(s) : 0;
}

// Length of a mark at `at` that separates what stands before and behind it.
size_t EnglishWords::infix(Span s, const Char* at) const {
    const Char c = *at, before = at > s.begin ? at[-1] : 0, next = at + 1 < s.end ? at[1] : 0;
    if (c == 0x2026 || is_.is(c, kIcon)) return 1;
    if (c == '.') {
        if (const size_t run = dots(at, s.end)) return run;
        return is_.is(before, kLower | kQuote) && is_.is(next, kUpper | kQuote) ? 1 : 0;
    }
    const bool letter = is_.is(before, kAlpha), digit = Characters::digit(before);
    if ((c == '+' || c == '-' || c == '*' || c == '^') && digit && (Characters::digit(next) || next == '-')) return 1;
    if (c == ',') return letter && is_.is(next, kAlpha) ? 1 : 0;
    if (c == ':' || c == '<' || c == '>' || c == '=' || c == '/') return (letter || digit) && is_.is(next, kAlpha) ? 1 : 0;
    if (!is_.is(c, kHyphen) || !(letter || digit)) return 0;
    size_t run = 1;
    const size_t most = c == '-' ? 3 : c == 0x2014 ? 2 : 1;
    while (run < most && at + run < s.end && at[run] == c) ++run;
    return at + run < s.end && is_.is(at[run], kAlpha) ? run : 0;
}

// [scheme://][user@]label.label.tld[:port][/...]: a domain whose last part is lower-case letters.
bool EnglishWords::address(Span s) const {
    const auto label = [](Char c) {
        return Characters::digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0xa1 && c <= 0xffff);
    };
    static constexpr Char scheme[] = {':', '/', '/'};
    const Char* host = std::search(s.begin, s.end, scheme, scheme + 3);
    host = host == s.end ? s.begin : host - s.begin >= 2 ? host + 3 : s.end;
    const Char* path = std::find_if(host, s.end, [](Char c) { return c == '/' || c == '?' || c == '#'; });
    for (const Char* p = path; p-- > host;) {
        if (*p == '@' && p > s.begin) {
            host = p + 1;
            break;
        }
    }
    const Char* colon = std::find(host, path, ':');
    if (colon < path && (path - colon < 3 || path - colon > 6 || !std::all_of(colon + 1, path, Characters::digit))) return false;
    const Char* last = colon;  // the top-level domain
    while (last > host && is_.is(last[-1], kLower)) --last;
    if (colon - last < 2 || last == host || last[-1] != '.') return false;
    for (const Char* p = host; p < last;) {
        const Char* dot = std::find(p, last, '.');
        if (dot == p || !label(*p) || !label(dot[-1])) return false;
        if (!std::all_of(p, dot, [&](Char c) { return label(c) || c == '-' || c == '_'; })) return false;
        p = dot + 1;
    }
    return true;
}

size_t EnglishWords::sentences(Span text) {
    words_.clear();
    split(text, words_);
    size_t count = 0;
    bool open = false, closed = false;  // words of a sentence have been seen; and its closing mark
    for (const Span word : words_) {
        const bool mark = word.size() == 1 && is_.is(*word.begin, kSentence);
        const bool punctuation = std::all_of(word.begin, word.end, [&](Char c) { return is_.is(c, kPunctuation); });
        if (closed && !mark && !punctuation) {
            ++count;
            closed = false;
        }
        closed = closed || mark;
        open = true;
    }
    return count + (open ? 1 : 0);
}

}  // namespace smolforge
