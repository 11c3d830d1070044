// Passages that stand in more than one text: a suffix array finds all of them, sampled hashes say which texts to compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace smolforge {

// The suffix array of `text` over values 0 to `most`: suffixes in ascending order, a suffix before those it begins.
// SA-IS (Nong, Zhang, Chan 2009): linear time; about 14 bytes of memory a byte of text.
template <class Value>
std::vector<int32_t> suffix_array(const Value* text, int32_t size, int32_t most);

struct Passage {
    int64_t text, begin, end;  // bytes of the text
};

// All passages of at least `least` bytes that stand in an earlier text too, merged where they touch. Texts lie one behind the
// other, text i from offsets[i] to offsets[i + 1]; none may hold a byte 0xff, and all together are shorter than 2^31 - n.
std::vector<Passage> repeated_passages(const uint8_t* data, const int64_t* offsets, size_t n, size_t least);

// Hashes of `gram` bytes at sampled places (winnowing: Schleimer, Wilkerson, Aiken 2003), appended to `keys`: of any `window`
// places in a row at least one is sampled, and which one depends on the bytes there alone. So two texts that share gram + window - 1
// bytes share a key.
void passage_keys(const uint8_t* data, size_t size, size_t gram, size_t window, std::vector<uint64_t>& keys);

}  // namespace smolforge
