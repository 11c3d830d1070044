#include "langid.h"

#include <algorithm>
#include <cmath>

namespace smolforge {

void LanguageScorer::score(const uint8_t* text, size_t bytes, float* scores) {
    std::fill(scores, scores + model_.classes, 0.0f);
    met_.clear();
    uint32_t state = 0;
    for (size_t i = 0; i < bytes; ++i) {
        state = model_.next[model_.row[state] + text[i]];
        const int32_t feature = model_.output[state];
        if (feature >= 0 && counts_[static_cast<size_t>(feature)]++ == 0) met_.push_back(static_cast<uint32_t>(feature));
    }
    if (met_.empty()) return;
    std::copy(model_.prior, model_.prior + model_.classes, scores);
    for (const uint32_t feature : met_) {
        const float weight = std::log1p(static_cast<float>(counts_[feature]));
        const float* row = model_.table + feature * model_.classes;
        for (size_t k = 0; k < model_.classes; ++k) scores[k] += weight * row[k];
        counts_[feature] = 0;
    }
}

void count_scripts(Span text, const Characters& is, int32_t* counts) {
    constexpr uint32_t kFlags[kScripts] = {kAlpha, kLatin, kArabic, kHan, kCyrillic};
    std::fill(counts, counts + kScripts, 0);
    for (const Char* p = text.begin; p < text.end; ++p) {
        if (!is.is(*p, kAlpha)) continue;
        for (size_t i = 0; i < kScripts; ++i) counts[i] += is.is(*p, kFlags[i]);
    }
}

}  // namespace smolforge
