// The features of smolforge/corpus/text/features.py, computed in one go. No limits: those are data elsewhere.
#pragma once

#include <string>
#include <vector>

#include "phrases.h"
#include "repeats.h"
#include "words.h"

namespace smolforge {

// Order: FEATURES of features.py, which says what each is.
struct Features {
    float words, mean_word_length, hash_ratio, ellipsis_ratio, bullet_lines, ellipsis_lines, alphabetic_words, stop_words;
    float duplicate_lines, duplicate_line_characters, duplicate_paragraphs, duplicate_paragraph_characters;
    float top_ngrams[3], duplicate_ngrams[6];  // n 2..4; n 5..10
    float terminal_lines, short_lines, newline_ratio, longest_word, upper_case_lines, policy_phrases, placeholder_text;
    float longest_line, mean_line_length, alphanumeric, null_characters;
    float lines, alphabetic, white_space, encoded_data, encoded_run, generated_marks;
    float latex_commands, math_delimiters, math_symbols, mathml;
};
constexpr size_t kFeatures = sizeof(Features) / sizeof(float);

// What is known of a language.
struct Language {
    uint8_t traits = 0;
    std::vector<uint64_t> stop_words;  // sorted hashes
    Phrases phrases;                   // policies, then the phrases of every language
    size_t policies = 0;
};

struct WordLists {  // of one language, or of all
    uint8_t traits = 0;
    std::vector<std::u32string> stop_words, policies;
};

struct CommonLists {
    std::vector<std::u32string> placeholders, generated, mathml;
};

class FeatureMeter {
  public:
    // lower[kCodePoints]: str.lower of each character where that is one character.
    FeatureMeter(Characters characters, const Char* lower, const std::vector<WordLists>& languages, CommonLists common);
    size_t languages() const { return languages_.size(); }
    void measure(const uint8_t* text, size_t bytes, size_t language, Features& out);

  private:
    void read_words(Span text, const Language& language, Features& out);
    void read_lines(Span text, Features& out);
    void read_paragraphs(Span text, Features& out);
    void read_characters(Span text, Features& out);
    void read_phrases(Span text, const Language& language, Features& out);
    void read_ngrams(Features& out);
    bool shouted(Span line) const;
    bool stop_word(Span word, const Language& language, uint64_t& hash) const;

    PlainWords split_;
    const Char* lower_;
    CommonLists common_;
    std::vector<Language> languages_;
    std::vector<Char> text_, lowered_;
    std::vector<Span> spans_;
    Words words_;
    HashCounts seen_;
    RepeatedGrams grams_;
    std::vector<uint32_t> counts_;
    std::vector<size_t> first_;
};

// Characters in runs that look like encoded data, and the longest such run; see features.py.
struct Encoded {
    size_t characters = 0, longest = 0;
};
Encoded encoded_data(Span text, const Characters& is);

}  // namespace smolforge
