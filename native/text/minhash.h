// MinHash signatures: the minima of many permutations of a text's shingles, folded into one key a band.
#pragma once

#include <cstddef>
#include <cstdint>

namespace smolforge {

// keys[bands] of `count` >= 1 shingles. Row r's hash of a shingle is mix(shingle ^ seed r); see smolforge/corpus/dedup/minhash.py.
void band_keys(const uint64_t* shingles, size_t count, size_t bands, size_t rows, uint64_t* keys);

}  // namespace smolforge
