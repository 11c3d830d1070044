#include "minhash.h"

#include <vector>

#include "repeats.h"

// On x86-64 Linux the loader picks the version for this processor: 64-bit products come eight at a time with AVX-512.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(SMOLFORGE_SANITIZE)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

namespace smolforge {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

FOR_EACH_PROCESSOR void take_minima(uint64_t shingle, const uint64_t* seeds, uint64_t* minima, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        uint64_t x = shingle ^ seeds[i];  // mix(), written out: a call would keep the loop from becoming vectors
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
        x ^= x >> 31;
        minima[i] = x < minima[i] ? x : minima[i];
    }
}

}  // namespace

void band_keys(const uint64_t* shingles, size_t count, size_t bands, size_t rows, uint64_t* keys) {
    std::vector<uint64_t> seeds(bands * rows), minima(bands * rows, UINT64_MAX);
    for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = mix((i + 1) * kGolden);
    for (size_t i = 0; i < count; ++i) take_minima(shingles[i], seeds.data(), minima.data(), seeds.size());
    for (size_t band = 0; band < bands; ++band) {
        uint64_t key = band;
        for (size_t row = 0; row < rows; ++row) key = mix(key + minima[band * rows + row] + kGolden);
        keys[band] = key;
    }
}

}  // namespace smolforge
