#include "repeats.h"

#include <algorithm>

namespace smolforge {

constexpr size_t kKept = size_t{1} << 20;  // entries of a table that are kept whatever the next text needs

void HashCounts::reset(size_t most) {
    size_t size = 64;
    while (size < 2 * most) size *= 2;
    const bool wasteful = table_.size() > kKept && table_.size() / 16 > size;  // left by one enormous text
    if (wasteful) std::vector<Entry>().swap(table_);
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

void RepeatedGrams::start(const Words& words, HashCounts& seen) {
    n_ = 1;
    grams_.resize(words.size());
    for (uint32_t i = 0; i < grams_.size(); ++i) grams_[i] = {words.hashes[i], i, i, 1};
    keep_repeated(seen);
}

void RepeatedGrams::extend(const Words& words, HashCounts& seen) {
    size_t kept = 0;
    for (size_t i = 0; i + 1 < grams_.size(); ++i) {
        const Gram gram = grams_[i];
        if (grams_[i + 1].at == gram.at + 1) grams_[kept++] = {mix(gram.hash * 3 ^ words.hashes[gram.at + n_]), gram.at, gram.at, 1};
    }
    grams_.resize(kept);
    ++n_;
    keep_repeated(seen);
}

void RepeatedGrams::keep_repeated(HashCounts& seen) {
    seen.reset(grams_.size());
    for (Gram& gram : grams_) {
        HashCounts::Entry& entry = seen.at(gram.hash, gram.at);
        ++entry.count;
        gram.first = entry.first;
    }
    size_t kept = 0;
    for (const Gram& gram : grams_) {
        const uint32_t count = seen.at(gram.hash, gram.at).count;
        if (count > 1) grams_[kept++] = {gram.hash, gram.at, gram.first, count};
    }
    grams_.resize(kept);
}

size_t RepeatedGrams::top(const Words& words) const {
    uint32_t most = 0;
    size_t longest = 0;
    for (const Gram& gram : grams_) {
        if (gram.count < most) continue;
        const size_t length = words.characters(gram.at, gram.at + n_);
        longest = gram.count > most ? length : std::max(longest, length);
        most = gram.count;
    }
    return longest * most;
}

size_t RepeatedGrams::again(const Words& words) const {
    size_t repeated = 0, done = 0;  // words before `done` are counted
    for (const Gram& gram : grams_) {
        if (gram.first == gram.at) continue;
        const size_t begin = std::max<size_t>(gram.at, done);
        done = gram.at + n_;
        repeated += words.characters(begin, done);
    }
    return repeated;
}

}  // namespace smolforge
