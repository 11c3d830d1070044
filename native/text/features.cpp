#include "features.h"

#include <algorithm>

namespace smolforge {
namespace {

constexpr size_t kShortLine = 30, kHead = 1000;

float share(size_t part, size_t whole) { return static_cast<float>(static_cast<double>(part) / static_cast<double>(std::max<size_t>(1, whole))); }

uint64_t hash_of(const std::u32string& text) {
    const std::vector<Char> characters(text.begin(), text.end());
    return smolforge::hash_of(Span{characters.data(), characters.data() + characters.size()});
}

bool ends_in_ellipsis(Span s) {
    return s.end[-1] == 0x2026 || (s.size() >= 3 && s.end[-1] == '.' && s.end[-2] == '.' && s.end[-3] == '.');
}

bool letter(const Char* p, const Char* end) { return p < end && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')); }

}  // namespace

FeatureMeter::FeatureMeter(Characters characters, const Char* lower, const std::vector<WordLists>& languages, CommonLists common)
    : split_(characters), lower_(lower), common_(std::move(common)) {
    for (const WordLists& lists : languages) {
        Language language;
        language.traits = lists.traits;
        for (const std::u32string& word : lists.stop_words) language.stop_words.push_back(hash_of(word));
        std::sort(language.stop_words.begin(), language.stop_words.end());
        language.policies = lists.policies.size();
        language.phrases.add(lists.policies);
        language.phrases.add(common_.placeholders);
        language.phrases.add(common_.generated);
        language.phrases.add(common_.mathml);
        languages_.push_back(std::move(language));
    }
}

void FeatureMeter::measure(const uint8_t* text, size_t bytes, size_t language, Features& out) {
    out = {};
    decode(text, bytes, text_);
    const Span all{text_.data(), text_.data() + text_.size()};
    read_words(all, languages_[language], out);
    read_ngrams(out);
    read_characters(all, out);
    read_lines(all, out);
    read_paragraphs(all, out);
    read_phrases(all, languages_[language], out);
}

void FeatureMeter::read_words(Span text, const Language& language, Features& out) {
    const Characters& is = split_.characters();
    split_.split(text, language.traits, spans_);
    words_.hashes.resize(spans_.size());
    words_.ends.resize(spans_.size());
    std::vector<bool> met(language.stop_words.size());
    uint32_t end = 0;
    size_t longest = 0, alphabetic = 0;
    for (size_t i = 0; i < spans_.size(); ++i) {
        const Span word = spans_[i];
        words_.hashes[i] = smolforge::hash_of(word);
        words_.ends[i] = end += static_cast<uint32_t>(word.size());
        longest = std::max(longest, word.size());
        alphabetic += std::any_of(word.begin, word.end, [&](Char c) { return is.is(c, kAlpha); });
        uint64_t small;
        if (!stop_word(word, language, small)) continue;
        const auto found = std::lower_bound(language.stop_words.begin(), language.stop_words.end(), small);
        if (found != language.stop_words.end() && *found == small) met[static_cast<size_t>(found - language.stop_words.begin())] = true;
    }
    out.words = static_cast<float>(spans_.size());
    out.mean_word_length = share(end, spans_.size());
    out.longest_word = static_cast<float>(longest);
    out.alphabetic_words = share(alphabetic, spans_.size());
    out.stop_words = static_cast<float>(std::count(met.begin(), met.end(), true));
}

// Whether a word is short enough to be one; then its hash in small letters.
bool FeatureMeter::stop_word(Span word, const Language& language, uint64_t& hash) const {
    constexpr size_t kLongest = 12;
    Char small[kLongest];
    if (word.size() > kLongest || language.stop_words.empty()) return false;
    for (size_t i = 0; i < word.size(); ++i) small[i] = lower_[word.begin[i]];
    hash = smolforge::hash_of(Span{small, small + word.size()});
    return true;
}

void FeatureMeter::read_ngrams(Features& out) {
    const size_t characters = words_.ends.empty() ? 0 : words_.ends.back();
    grams_.start(words_, seen_);
    for (size_t n = 2; n <= 10; ++n) {
        grams_.extend(words_, seen_);
        if (n <= 4) out.top_ngrams[n - 2] = share(grams_.top(words_), characters);
        if (n >= 5) out.duplicate_ngrams[n - 5] = share(grams_.again(words_), characters);
    }
}

void FeatureMeter::read_characters(Span text, Features& out) {
    const Characters& is = split_.characters();
    size_t hashes = 0, newlines = 0, nulls = 0, alnum = 0, alpha = 0, space = 0, math = 0, ellipses = 0, commands = 0, dollars = 0, opened = 0;
    constexpr char32_t kBegin[] = U"begin{";
    for (const Char* p = text.begin; p < text.end; ++p) {
        const Char c = *p;
        alnum += is.is(c, kAlnum);
        alpha += is.is(c, kAlpha);
        space += is.is(c, kSpace);
        math += is.is(c, kMath);
        if (c == '#') ++hashes;
        if (c == '\n') ++newlines;
        if (c == 0) ++nulls;
        if (c == 0x2026) ++ellipses;
        if (c == '$' && !(p + 1 < text.end && Characters::digit(p[1]))) ++dollars;
        if (c != '\\' || p + 1 == text.end) continue;
        commands += letter(p + 1, text.end) && letter(p + 2, text.end);
        opened += p[1] == '(' || p[1] == '[' || (text.end - p > 6 && std::equal(kBegin, kBegin + 6, p + 1));
    }
    for (const Char* p = text.begin; p + 3 <= text.end;) {  // as str.count: they do not overlap
        const bool here = p[0] == '.' && p[1] == '.' && p[2] == '.';
        ellipses += here;
        p += here ? 3 : 1;
    }
    const size_t words = spans_.size();
    out.hash_ratio = share(hashes, words);
    out.ellipsis_ratio = share(ellipses, words);
    out.newline_ratio = share(newlines, words);
    out.alphanumeric = share(alnum, text.size());
    out.alphabetic = share(alpha, text.size());
    out.white_space = share(space, text.size());
    out.math_symbols = share(math, text.size());
    out.null_characters = static_cast<float>(nulls);
    out.latex_commands = share(commands, words);
    out.math_delimiters = share(2 * opened + dollars, 2 * std::max<size_t>(1, words));
    const Encoded encoded = encoded_data(text, is);
    out.encoded_data = share(encoded.characters, text.size());
    out.encoded_run = static_cast<float>(encoded.longest);
}

// No character in lower case, one in upper case, and most letters have a case at all.
bool FeatureMeter::shouted(Span line) const {
    const Characters& is = split_.characters();
    size_t upper = 0, letters = 0;
    for (const Char* p = line.begin; p < line.end; ++p) {
        if (is.is(*p, kNotUpper)) return false;
        upper += is.is(*p, kIsUpper);
        letters += is.is(*p, kAlpha);
    }
    return 2 * upper > letters;
}

void FeatureMeter::read_lines(Span text, Features& out) {
    const Characters& is = split_.characters();
    split_lines(text, is, spans_);
    seen_.reset(spans_.size());
    size_t lines = 0, characters = 0, longest = 0, bullets = 0, ellipses = 0, terminal = 0, brief = 0, upper = 0, again = 0, repeated = 0;
    for (const Span raw : spans_) {
        const Span line = strip(raw, is);
        if (line.empty()) continue;
        ++lines;
        characters += line.size();
        longest = std::max(longest, line.size());
        bullets += is.is(*line.begin, kBullet);
        ellipses += ends_in_ellipsis(line);
        terminal += is.is(line.end[-1], kLineEnd);
        brief += line.size() <= kShortLine;
        upper += shouted(line);
        if (seen_.add(smolforge::hash_of(line)) == 1) continue;
        ++again;
        repeated += line.size();
    }
    out.lines = static_cast<float>(lines);
    out.longest_line = static_cast<float>(longest);
    out.mean_line_length = share(characters, lines);
    out.bullet_lines = share(bullets, lines);
    out.ellipsis_lines = share(ellipses, lines);
    out.terminal_lines = share(terminal, lines);
    out.short_lines = share(brief, lines);
    out.upper_case_lines = share(upper, lines);
    out.duplicate_lines = share(again, lines);
    out.duplicate_line_characters = share(repeated, characters);
}

// Blocks between runs of white space that hold two line feeds.
void FeatureMeter::read_paragraphs(Span text, Features& out) {
    const Characters& is = split_.characters();
    seen_.reset(static_cast<size_t>(out.lines));
    size_t blocks = 0, characters = 0, again = 0, repeated = 0;
    const auto take = [&](Span block) {
        ++blocks;
        characters += block.size();
        if (seen_.add(smolforge::hash_of(block)) == 1) return;
        ++again;
        repeated += block.size();
    };
    const Span all = strip(text, is);
    const Char* begin = all.begin;
    for (const Char* p = all.begin; p < all.end; ++p) {
        size_t feeds = 0;
        const Char* const gap = p;
        while (is.is(*p, kSpace)) feeds += *p++ == '\n';  // ends: the last character is none
        if (feeds < 2) continue;
        take({begin, gap});
        begin = p;
    }
    if (begin < all.end) take({begin, all.end});
    out.duplicate_paragraphs = share(again, blocks);
    out.duplicate_paragraph_characters = share(repeated, characters);
}

void FeatureMeter::read_phrases(Span text, const Language& language, Features& out) {
    lowered_.clear();
    for (const Char* p = text.begin; p < text.end; ++p) {
        lowered_.push_back(lower_[*p]);
        if (*p != 0x130) continue;  // the one letter that becomes two: i and a dot above
        lowered_.back() = 'i';
        lowered_.push_back(0x307);
    }
    language.phrases.count({lowered_.data(), lowered_.data() + lowered_.size()}, counts_, first_);
    size_t at = 0;
    const auto held = [&](size_t many, size_t within) {
        size_t found = 0;
        for (const size_t end = at + many; at < end; ++at) found += counts_[at] > 0 && first_[at] <= within;
        return found;
    };
    out.policy_phrases = static_cast<float>(held(language.policies, lowered_.size()));
    out.placeholder_text = static_cast<float>(held(common_.placeholders.size(), lowered_.size()));
    out.generated_marks = static_cast<float>(held(common_.generated.size(), kHead));
    size_t tags = 0;
    for (; at < counts_.size(); ++at) tags += counts_[at];
    out.mathml = share(tags, static_cast<size_t>(out.words));
}

}  // namespace smolforge
