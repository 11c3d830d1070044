#include "phrases.h"

#include <algorithm>
#include <stdexcept>

namespace smolforge {

void Phrases::add(const std::vector<std::u32string>& phrases) {
    for (const std::u32string& phrase : phrases) {
        if (phrase.size() < 2) throw std::invalid_argument("a phrase of at least two characters is expected");
        begins_.set(bucket(phrase[0], phrase[1]));
        phrases_.push_back(phrase);
    }
}

void Phrases::count(Span text, std::vector<uint32_t>& counts, std::vector<size_t>& first) const {
    counts.assign(phrases_.size(), 0);
    first.assign(phrases_.size(), 0);
    for (const Char* p = text.begin; p + 1 < text.end; ++p) {
        if (!begins_[bucket(p[0], p[1])]) continue;
        for (size_t i = 0; i < phrases_.size(); ++i) {
            const std::u32string& phrase = phrases_[i];
            if (static_cast<size_t>(text.end - p) < phrase.size() || !std::equal(phrase.begin(), phrase.end(), p)) continue;
            if (counts[i]++ == 0) first[i] = static_cast<size_t>(p - text.begin) + phrase.size();
        }
    }
}

}  // namespace smolforge
