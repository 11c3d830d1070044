// How much of a list repeats: of lines, of paragraphs, of word n-grams. Things are compared by 64-bit hashes.
#pragma once

#include <cstdint>
#include <vector>

#include "characters.h"

namespace smolforge {

inline uint64_t mix(uint64_t x) {  // finalizer of SplitMix64 (Steele, Lea, Flood 2014)
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

inline uint64_t hash_of(Span s) {
    uint64_t h = 0x9e3779b97f4a7c15ULL + s.size();
    for (const Char* p = s.begin; p < s.end; ++p) {
        h = (h ^ *p) * 0xd6e8feb86659fd93ULL;
        h ^= h >> 32;
    }
    return mix(h);
}

// A set of hashes with a count each, emptied in constant time.
class HashCounts {
  public:
    void reset(size_t most);               // room for that many different hashes
    uint32_t add(uint64_t hash);           // how often it has been added, this time included
    struct Entry {
        uint64_t hash;
        uint32_t round, count, first;
    };
    // As add; `first` is kept from the first time.
    Entry& at(uint64_t hash, uint32_t first);

  private:
    std::vector<Entry> table_;
    uint64_t mask_ = 0;
    uint32_t round_ = 0;
};

struct Words {  // of one text
    std::vector<uint64_t> hashes;
    std::vector<uint32_t> ends;  // characters of all words up to and with this one
    size_t size() const { return hashes.size(); }
    size_t characters(size_t begin, size_t end) const { return ends[end - 1] - (begin ? ends[begin - 1] : 0); }
};

// From the hashes of all (n - 1)-grams to those of all n-grams; n 1 starts over.
void extend(const Words& words, size_t n, std::vector<uint64_t>& grams);

// Characters of the most frequent n-gram (of several, the one that came first), blanks between its words counted, times how
// often it occurs (once counts).
size_t top_ngram(const Words& words, size_t n, const std::vector<uint64_t>& grams, HashCounts& seen);

// Characters of n-grams that stood before; behind one, counting goes on n words later.
size_t duplicate_ngrams(const Words& words, size_t n, const std::vector<uint64_t>& grams, HashCounts& seen);

// The n-grams that occur more than once, for growing n: an n-gram can only repeat where both its (n - 1)-grams do.
class RepeatedGrams {
  public:
    void start(const Words& words, HashCounts& seen);   // n is 1
    void extend(const Words& words, HashCounts& seen);  // n is one more

    // Characters of the most frequent n-gram (the longest of several) times how often it occurs; 0 if none repeats.
    size_t top(const Words& words) const;

    // Characters of the words in n-grams that stood before, no word counted twice.
    size_t again(const Words& words) const;

  private:
    struct Gram {
        uint64_t hash;
        uint32_t at, first, count;  // number of its first word; that of its first occurrence; occurrences
    };
    void keep_repeated(HashCounts& seen);

    size_t n_ = 0;
    std::vector<Gram> grams_;  // in the order of the text
};

}  // namespace smolforge
