// The measures behind FineWeb's rules for English (Gopher repetition and quality, C4's line rules, FineWeb's own), with the
// formulas and words for which the published floors were found. One pass over a text, no limits: those are data elsewhere.
#pragma once

#include "english.h"
#include "repeats.h"

namespace smolforge {

// Order and names: smolforge/corpus/rules/fineweb.py. Shares are of all characters of the text where nothing else is said.
struct FineWebMeasures {
    double characters, duplicate_paragraphs, duplicate_paragraph_characters, duplicate_lines, duplicate_line_characters;
    double top_ngrams[3], duplicate_ngrams[6];            // n 2..4; n 5..10
    double words, mean_word_length;                       // of words that are more than punctuation
    double hash_ratio, ellipsis_ratio;                    // to all words
    double bullet_lines, ellipsis_lines, alphabetic_words, stop_words;
    double placeholder_text, curly_brackets, sentences;   // of the lines that C4 keeps; the first two end its reading
    double kept_lines, terminal_lines, short_lines, kept_duplicate_characters, newline_ratio;  // of what C4 leaves
};
constexpr size_t kFineWebMeasures = sizeof(FineWebMeasures) / sizeof(double);

class FineWeb {
  public:
    FineWeb(EnglishWords words, const std::vector<std::u32string>& stop_words, std::vector<std::u32string> policies);
    void measure(const uint8_t* text, size_t bytes, FineWebMeasures& out);

  private:
    void repetition(Span text, FineWebMeasures& out);
    void quality(Span text, FineWebMeasures& out);
    void clean(Span text, FineWebMeasures& out);
    void lines(FineWebMeasures& out);
    void read_words(Span text);
    bool keeps(Span line, FineWebMeasures& out);
    void without_citations(Span line);
    bool holds(const std::u32string& phrase) const;  // whether the lowered line does
    Span stripped(Span s) const;
    void repeats(const std::vector<Span>& parts, size_t& count, size_t& characters);

    EnglishWords split_;
    std::vector<std::u32string> policies_;
    std::vector<std::pair<uint64_t, size_t>> stop_words_;  // hash, number
    std::vector<Char> text_, line_, kept_;  // kept_: lines that C4 keeps, a line feed between two
    std::u32string lowered_;
    std::vector<Span> words_, parts_;
    Words hashed_;
    std::vector<uint64_t> grams_;
    HashCounts seen_;
};

}  // namespace smolforge
