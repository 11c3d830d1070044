#include "minhash.h"

#include <vector>

#include "repeats.h"

namespace smolforge {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

inline __attribute__((always_inline)) void each_minimum(const uint64_t* shingles, size_t n, const uint64_t* seeds, uint64_t* minima, size_t count) {
    for (size_t k = 0; k < n; ++k) {
        for (size_t i = 0; i < count; ++i) {
            uint64_t x = shingles[k] ^ seeds[i];  // mix(), written out: a call would keep the loop from becoming vectors
            x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
            x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
            x ^= x >> 31;
            minima[i] = x < minima[i] ? x : minima[i];
        }
    }
}

using Minima = void (*)(const uint64_t*, size_t, const uint64_t*, uint64_t*, size_t);

void plain_minima(const uint64_t* shingles, size_t n, const uint64_t* seeds, uint64_t* minima, size_t count) {
    each_minimum(shingles, n, seeds, minima, count);
}

// 64-bit products come eight at a time with AVX-512, in pieces of 32 bits with AVX2.
#if defined(__x86_64__)
#if defined(__clang__)
#define AVX512 "avx512f,avx512dq,avx512vl"
#else
#define AVX512 "avx512f,avx512dq,avx512vl,prefer-vector-width=512"
#endif
__attribute__((target(AVX512))) void avx512_minima(const uint64_t* shingles, size_t n, const uint64_t* seeds, uint64_t* minima, size_t count) {
    each_minimum(shingles, n, seeds, minima, count);
}

__attribute__((target("avx2"))) void avx2_minima(const uint64_t* shingles, size_t n, const uint64_t* seeds, uint64_t* minima, size_t count) {
    each_minimum(shingles, n, seeds, minima, count);
}

Minima best_minima() {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) return avx512_minima;
    return __builtin_cpu_supports("avx2") ? avx2_minima : plain_minima;
}
#else
Minima best_minima() { return plain_minima; }
#endif

}  // namespace

void band_keys(const uint64_t* shingles, size_t count, size_t bands, size_t rows, uint64_t* keys) {
    std::vector<uint64_t> seeds(bands * rows), minima(bands * rows, UINT64_MAX);
    for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = mix((i + 1) * kGolden);
    static const Minima take_minima = best_minima();
    take_minima(shingles, count, seeds.data(), minima.data(), seeds.size());
    for (size_t band = 0; band < bands; ++band) {
        uint64_t key = band;
        for (size_t row = 0; row < rows; ++row) key = mix(key + minima[band * rows + row] + kGolden);
        keys[band] = key;
    }
}

}  // namespace smolforge
