// Scores of a naive Bayes language classifier whose features are found by an automaton over bytes (py3langid's model), and how
// many letters of a text are in which script.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "characters.h"

namespace smolforge {

struct Automaton {
    const uint32_t* next;      // [rows * 256] state behind each byte
    const uint32_t* row;       // [states] where a state's 256 entries begin
    const int32_t* output;     // [states] the feature that is complete here, or -1
    const float* table;        // [features, classes] log-probabilities
    const float* prior;        // [classes]
    size_t states, features, classes;
};

class LanguageScorer {
  public:
    explicit LanguageScorer(const Automaton& model) : model_(model), counts_(model.features, 0) {}

    // scores[classes] = prior + sum over features of log(1 + count) x log-probability; all 0 for a text without features.
    void score(const uint8_t* text, size_t bytes, float* scores);

  private:
    Automaton model_;
    std::vector<uint32_t> counts_;  // of every feature; all 0 between two texts
    std::vector<uint32_t> met_;
};

constexpr size_t kScripts = 5;  // letters; those in Latin, Arabic, Han, Cyrillic script

void count_scripts(Span text, const Characters& is, int32_t* counts);

}  // namespace smolforge
