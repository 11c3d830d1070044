#include "repeats.h"

namespace smolforge {

void HashCounts::reset(size_t most) {
    size_t size = 64;
    while (size < 2 * most) size *= 2;
    if (size > table_.size()) {
        table_.assign(size, {0, 0, 0, 0});
        round_ = 0;
    }
    mask_ = size - 1;
    if (++round_ == 0) {
        table_.assign(table_.size(), {0, 0, 0, 0});
        round_ = 1;
    }
}

HashCounts::Entry& HashCounts::at(uint64_t hash, uint32_t first) {
    for (uint64_t i = hash & mask_;; i = (i + 1) & mask_) {
        Entry& entry = table_[i];
        if (entry.round != round_) entry = {hash, round_, 0, first};
        if (entry.hash == hash) return entry;
    }
}

uint32_t HashCounts::add(uint64_t hash) { return ++at(hash, 0).count; }

void extend(const Words& words, size_t n, std::vector<uint64_t>& grams) {
    if (n == 1) grams = words.hashes;
    if (words.size() < n) return grams.clear();
    grams.resize(words.size() - n + 1);
    for (size_t i = 0; n > 1 && i < grams.size(); ++i) grams[i] = mix(grams[i] * 3 ^ words.hashes[i + n - 1]);
}

size_t top_ngram(const Words& words, size_t n, const std::vector<uint64_t>& grams, HashCounts& seen) {
    if (grams.empty()) return 0;
    seen.reset(grams.size());
    uint32_t most = 0, first = 0;
    for (size_t i = 0; i < grams.size(); ++i) {
        HashCounts::Entry& entry = seen.at(grams[i], static_cast<uint32_t>(i));
        ++entry.count;
        if (entry.count > most || (entry.count == most && entry.first < first)) {
            most = entry.count;
            first = entry.first;
        }
    }
    return (words.characters(first, first + n) + n - 1) * most;
}

size_t duplicate_ngrams(const Words& words, size_t n, const std::vector<uint64_t>& grams, HashCounts& seen) {
    seen.reset(grams.size());
    size_t repeated = 0;
    for (size_t i = 0; i < grams.size();) {
        const bool again = seen.add(grams[i]) > 1;
        if (again) repeated += words.characters(i, i + n);
        i += again ? n : 1;
    }
    return repeated;
}

}  // namespace smolforge
