#include "fineweb.h"

#include <algorithm>

namespace smolforge {
namespace {

constexpr size_t kLongestWord = 1000, kFewestWords = 3, kShortLine = 30;

double share(size_t part, size_t whole) { return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0.0; }

size_t count(Span s, Char c) { return static_cast<size_t>(std::count(s.begin, s.end, c)); }

bool ends_with_dots(Span s) { return s.size() >= 3 && s.end[-1] == '.' && s.end[-2] == '.' && s.end[-3] == '.'; }

size_t three_dots(Span s) {  // as str.count("..."): they do not overlap
    size_t found = 0;
    for (const Char* p = s.begin; p + 3 <= s.end;) {
        const bool here = p[0] == '.' && p[1] == '.' && p[2] == '.';
        found += here;
        p += here ? 3 : 1;
    }
    return found;
}

// Cuts at runs of at least `run` line feeds.
void cut(Span s, size_t run, std::vector<Span>& out) {
    out.clear();
    const Char* begin = s.begin;
    for (const Char* p = s.begin; p < s.end;) {
        const Char* q = p;
        while (q < s.end && *q == '\n') ++q;
        if (static_cast<size_t>(q - p) >= run) {
            out.push_back({begin, p});
            begin = q;
        }
        p = q == p ? p + 1 : q;
    }
    out.push_back({begin, s.end});
}

}  // namespace

FineWeb::FineWeb(EnglishWords words, const std::vector<std::u32string>& stop_words, std::vector<std::u32string> policies)
    : split_(std::move(words)), policies_(std::move(policies)) {
    for (const std::u32string& word : stop_words) {
        std::vector<Char> characters(word.begin(), word.end());
        stop_words_.push_back({hash_of({characters.data(), characters.data() + characters.size()}), stop_words_.size()});
    }
    std::sort(stop_words_.begin(), stop_words_.end());
}

void FineWeb::measure(const uint8_t* text, size_t bytes, FineWebMeasures& out) {
    out = {};
    decode(text, bytes, text_);
    const Span all{text_.data(), text_.data() + text_.size()};
    out.characters = static_cast<double>(all.size());
    if (all.empty()) return;
    read_words(all);
    repetition(all, out);
    quality(all, out);
    clean(all, out);
    lines(out);
}

void FineWeb::read_words(Span text) {
    words_.clear();
    split_.split(text, words_);
    hashed_.hashes.resize(words_.size());
    hashed_.ends.resize(words_.size());
    uint32_t end = 0;
    for (size_t i = 0; i < words_.size(); ++i) {
        hashed_.hashes[i] = hash_of(words_[i]);
        hashed_.ends[i] = end += static_cast<uint32_t>(words_[i].size());
    }
}

Span FineWeb::stripped(Span s) const { return strip(s, split_.characters()); }

void FineWeb::repeats(const std::vector<Span>& parts, size_t& count, size_t& characters) {
    count = characters = 0;
    seen_.reset(parts.size());
    for (const Span part : parts) {
        if (seen_.add(hash_of(part)) == 1) continue;
        ++count;
        characters += part.size();
    }
}

void FineWeb::repetition(Span text, FineWebMeasures& out) {
    size_t count, characters;
    cut(stripped(text), 2, parts_);
    repeats(parts_, count, characters);
    out.duplicate_paragraphs = share(count, parts_.size());
    out.duplicate_paragraph_characters = share(characters, text.size());
    cut(text, 1, parts_);
    repeats(parts_, count, characters);
    out.duplicate_lines = share(count, parts_.size());
    out.duplicate_line_characters = share(characters, text.size());
    for (size_t n = 1; n <= 10; ++n) {
        extend(hashed_, n, grams_);
        if (n >= 2 && n <= 4) out.top_ngrams[n - 2] = share(top_ngram(hashed_, n, grams_, seen_), text.size());
        if (n >= 5) out.duplicate_ngrams[n - 5] = share(duplicate_ngrams(hashed_, n, grams_, seen_), text.size());
    }
}

void FineWeb::quality(Span text, FineWebMeasures& out) {
    const Characters& is = split_.characters();
    size_t proper = 0, length = 0, alphabetic = 0;
    std::vector<bool> met(stop_words_.size());
    for (size_t i = 0; i < words_.size(); ++i) {
        const Span word = words_[i];
        if (!std::all_of(word.begin, word.end, [&](Char c) { return is.is(c, kSymbol); })) {
            ++proper;
            length += word.size();
        }
        alphabetic += std::any_of(word.begin, word.end, [&](Char c) { return is.is(c, kAlpha); });
        const auto found = std::lower_bound(stop_words_.begin(), stop_words_.end(), std::make_pair(hashed_.hashes[i], size_t{0}));
        if (found != stop_words_.end() && found->first == hashed_.hashes[i]) met[found->second] = true;
    }
    out.words = static_cast<double>(proper);
    out.mean_word_length = share(length, proper);
    out.alphabetic_words = share(alphabetic, words_.size());
    out.stop_words = static_cast<double>(std::count(met.begin(), met.end(), true));
    out.hash_ratio = share(count(text, '#'), words_.size());
    out.ellipsis_ratio = share(three_dots(text) + count(text, 0x2026), words_.size());
    split_lines(text, is, parts_);
    size_t bullets = 0, ellipses = 0;
    for (const Span line : parts_) {
        const Span s = stripped(line);
        bullets += !s.empty() && (*s.begin == 0x2022 || *s.begin == '-');
        ellipses += !s.empty() && (s.end[-1] == 0x2026 || ends_with_dots(s));
    }
    out.bullet_lines = share(bullets, parts_.size());
    out.ellipsis_lines = share(ellipses, parts_.size());
}

// C4's line rules, without its rule on terminal punctuation.
void FineWeb::clean(Span text, FineWebMeasures& out) {
    kept_.clear();
    split_lines(text, split_.characters(), parts_);
    for (const Span line : parts_) {
        if (!keeps(stripped(line), out)) continue;
        if (out.placeholder_text > 0 || out.curly_brackets > 0) return;
        out.sentences += static_cast<double>(split_.sentences({line_.data(), line_.data() + line_.size()}));
        if (out.kept_lines > 0) kept_.push_back('\n');
        kept_.insert(kept_.end(), line_.begin(), line_.end());
        ++out.kept_lines;
    }
}

// Whether the line stays, which `line_` then holds without citation marks.
bool FineWeb::keeps(Span line, FineWebMeasures& out) {
    const Characters& is = split_.characters();
    size_t words = 0, length = 0;
    for (const Char* p = line.begin; p <= line.end; ++p) {
        if (p < line.end && !is.is(*p, kSpace)) {
            if (++length > kLongestWord) return false;
        } else {
            words += length > 0;
            length = 0;
        }
    }
    if (words < kFewestWords) return false;
    without_citations(line);
    lowered_.assign(line_.begin(), line_.end());
    for (char32_t& c : lowered_) c = c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (holds(U"lorem ipsum")) return out.placeholder_text = 1, true;
    if (holds(U"javascript")) return false;
    if (std::find(line_.begin(), line_.end(), Char{'{'}) != line_.end()) return out.curly_brackets = 1, true;
    return std::none_of(policies_.begin(), policies_.end(), [&](const std::u32string& phrase) { return holds(phrase); });
}

bool FineWeb::holds(const std::u32string& phrase) const { return lowered_.find(phrase) != std::u32string::npos; }

// Without [12], [edit] and [citation needed].
void FineWeb::without_citations(Span line) {
    static const std::u32string words[] = {U"edit]", U"citation needed]"};
    line_.clear();
    for (const Char* p = line.begin; p < line.end; ++p) {
        if (*p == '[') {
            const Char* q = p + 1;
            while (q < line.end && Characters::digit(*q)) ++q;
            const Char* end = q < line.end && *q == ']' ? q : nullptr;
            for (const std::u32string& word : words) {
                if (static_cast<size_t>(line.end - p - 1) >= word.size() && std::equal(word.begin(), word.end(), p + 1)) end = p + word.size();
            }
            if (end != nullptr) {
                p = end;
                continue;
            }
        }
        line_.push_back(*p);
    }
}

void FineWeb::lines(FineWebMeasures& out) {
    const Span text = stripped({kept_.data(), kept_.data() + kept_.size()});
    const Characters& is = split_.characters();
    cut(text, 1, parts_);
    parts_.erase(std::remove_if(parts_.begin(), parts_.end(), [&](Span s) { return stripped(s).empty(); }), parts_.end());
    size_t terminal = 0, short_ones = 0, repeated, characters;
    for (const Span line : parts_) {
        terminal += is.is(line.end[-1], kTerminal);
        short_ones += line.size() <= kShortLine;
    }
    repeats(parts_, repeated, characters);
    const size_t breaks = count(text, '\n');
    out.terminal_lines = share(terminal, parts_.size());
    out.short_lines = share(short_ones, parts_.size());
    out.kept_duplicate_characters = share(characters, text.size() - breaks);
    words_.clear();
    split_.split(text, words_);
    out.newline_ratio = share(breaks, words_.size());
}

}  // namespace smolforge
