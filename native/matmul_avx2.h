// AVX2, with or without AVX-VNNI: a register is half a vector of packed codes, 8 rows x 4 columns; a panel is two slices.
//
// Without VNNI, products of unsigned and signed bytes are added in pairs to 16 bits (vpmaddubsw), which must not saturate:
//   4 bit   two products are at most 2 * 15 * 127 = 3810, so eight of them fit 16 bits and are widened once a block;
//   8 bit   |weight| <= 128 times an activation with the weight's sign: at most 2 * 128 * 127 = 32512, widened at once.
#pragma once

#include <immintrin.h>

#include "matmul_float.h"

namespace smolforge {
namespace {

// Signed 32-bit sums += four products of unsigned and signed bytes each.
inline __m256i add_four_products(__m256i sum, __m256i w, __m256i x) {
#if defined(__AVXVNNI__)
    return _mm256_dpbusd_avx_epi32(sum, w, x);
#else  // the same number from AVX2, for machines that test this file without the instruction
    const __m256i low = _mm256_set1_epi16(255);
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, low), _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8));
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(x, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
#endif
}

template <bool kVnni>
struct Avx2 {
    static constexpr int kLanes = 8, kPanels = 1, kRows = 4, kFloatRows = 2;
    using Float = __m256;
    using Int = __m256i;
    using Codes = __m256i;
    template <Kind>
    using Dot = __m256i;

    static __m128i load_half(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }
    static __m128i load_quarter(const void* at) { return _mm_loadl_epi64(static_cast<const __m128i*>(at)); }

    static Float zero() { return _mm256_setzero_ps(); }
    static Float load(const float* at) { return _mm256_load_ps(at); }
    static void store(float* at, Float v) { _mm256_store_ps(at, v); }
    static Float splat(const float* at) { return _mm256_broadcast_ss(at); }
    static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
    static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
    static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
    static Float negate(Float a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
    static Float to_float(Int v) { return _mm256_cvtepi32_ps(v); }
    static Float from_half(const uint8_t* at) { return _mm256_cvtph_ps(load_half(at)); }
    static Float from_u8(const uint8_t* at) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_quarter(at))); }
    static Float from_i8(const uint8_t* at) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_quarter(at))); }
    static Float from_bfloat(const uint8_t* at) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half(at)), 16));
    }
    static void prefetch(const uint8_t* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0); }

    template <Kind K>
    static constexpr int offset() {
        return K == Kind::q4 ? 8 : kVnni && Traits<K>::is_signed ? 128 : 0;
    }

    template <Kind K>
    static Codes unpack(const uint8_t* codes, int slice, int group) {
        const auto* at = reinterpret_cast<const __m256i*>(codes + slice * 32 + (Traits<K>::nibbles ? group % 4 : group) * 64);
        const __m256i bytes = _mm256_load_si256(at);
        if constexpr (Traits<K>::nibbles) {
            return _mm256_and_si256(group < 4 ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
        }
        return kVnni && Traits<K>::is_signed ? _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)) : bytes;
    }

    static Codes splat_four(const int8_t* x) {
        int32_t four;
        std::memcpy(&four, x, 4);
        return _mm256_set1_epi32(four);
    }

    template <Kind>
    static Int start(const int32_t* offset) {
        return kVnni ? _mm256_set1_epi32(*offset) : _mm256_setzero_si256();
    }

    template <Kind K>
    static Int add_products(Int sum, Codes w, Codes x) {
        if constexpr (kVnni) return add_four_products(sum, w, x);
        if constexpr (Traits<K>::nibbles) return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
        const __m256i pairs = Traits<K>::is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                                                   : _mm256_maddubs_epi16(w, x);
        return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }

    template <Kind K>
    static Int total(Int sum, const int32_t* offset) {
        if constexpr (kVnni || !Traits<K>::nibbles) return sum;
        return _mm256_add_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)), _mm256_set1_epi32(*offset));
    }
};

}  // namespace
}  // namespace smolforge
