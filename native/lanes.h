// Sixteen float lanes, the unit in which small ops and attention are written once and compiled for every instruction set.
//
// Compilers split the vectors into what the machine has (one AVX-512, two AVX or four NEON registers). Where an instruction set
// multiplies and adds in one rounding, `fma` does so everywhere; files are built with -ffp-contract=off, so nothing else is fused
// and the operations behind a number do not depend on the code around it.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "half.h"

namespace smolforge {
namespace {

typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Bits __attribute__((vector_size(64)));  // of floats: any bytes may come, and signed sums must not overflow

// The half float nearest to x, ties to even; beyond 65504 infinite.
inline uint16_t half_of_float(float x) {
    const uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x7f800000) return static_cast<uint16_t>(sign | 0x7c00 | (magnitude > 0x7f800000 ? 0x200 : 0));
    if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
    if (magnitude < 0x38800000) {  // subnormal: adding 0.5 leaves a multiple of 2^-24 in the low bits, rounded
        const float shifted = float_of_bits(magnitude) + 0.5f;
        return static_cast<uint16_t>(sign | (bits_of_float(shifted) - 0x3f000000));
    }
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13);
}

inline Lanes splat(float x) { return x - Lanes{}; }  // not plus: -0 + 0 is 0, so compilers would keep the sum
inline Ints splat(int32_t x) { return Ints{} + x; }

template <class Vector, class T>
inline Vector load(const T* at) {
    Vector v;
    std::memcpy(&v, at, sizeof v);
    return v;
}
inline Lanes load(const float* at) { return load<Lanes>(at); }
inline void store(float* at, Lanes v) { std::memcpy(at, &v, sizeof v); }

inline Lanes max(Lanes a, Lanes b) { return a > b ? a : b; }
inline Ints max(Ints a, Ints b) { return a > b ? a : b; }
inline Lanes min(Lanes a, Lanes b) { return a < b ? a : b; }

inline Lanes fma(Lanes a, Lanes b, Lanes c) {
#if defined(__AVX512F__)
    return (Lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    __m256 x[2], y[2], z[2];
    std::memcpy(x, &a, sizeof a), std::memcpy(y, &b, sizeof b), std::memcpy(z, &c, sizeof c);
    for (int i = 0; i < 2; ++i) z[i] = _mm256_fmadd_ps(x[i], y[i], z[i]);
    std::memcpy(&c, z, sizeof c);
    return c;
#elif defined(__aarch64__)
    float32x4_t x[4], y[4], z[4];
    std::memcpy(x, &a, sizeof a), std::memcpy(y, &b, sizeof b), std::memcpy(z, &c, sizeof c);
    for (int i = 0; i < 4; ++i) z[i] = vfmaq_f32(z[i], x[i], y[i]);
    std::memcpy(&c, z, sizeof c);
    return c;
#elif defined(SMOLFORGE_REFERENCE)  // tests/native/ops_reference.cpp
    for (int i = 0; i < 16; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#else
    return a * b + c;
#endif
}

// Sums and maxima halve the vector each time: lane i meets lane i + 8, then i + 4, i + 2, i + 1, on every machine.
template <class Vector, class Op>
inline auto reduce(Vector v, Op op) {
    auto a = op(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7), __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
    auto b = op(__builtin_shufflevector(a, a, 0, 1, 2, 3), __builtin_shufflevector(a, a, 4, 5, 6, 7));
    b = op(b, __builtin_shufflevector(b, b, 2, 3, 2, 3));
    b = op(b, __builtin_shufflevector(b, b, 1, 1, 1, 1));
    return b[0];
}
template <class Vector>
inline auto reduce_add(Vector v) {
    return reduce(v, [](auto a, auto b) { return a + b; });
}
template <class Vector>
inline auto reduce_max(Vector v) {
    return reduce(v, [](auto a, auto b) { return a > b ? a : b; });
}

// e^x within 2 ulp for x <= 88 (Cephes' expf: x = n ln 2 + r, a polynomial in r, n added to the exponent); 0 below -87.
inline Lanes exponential(Lanes x) {
    const Lanes floor_at = splat(-87.0f), magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
    const Lanes clamped = min(max(x, floor_at), splat(88.0f));
    const Lanes shifted = fma(clamped, splat(1.44269504088896341f), magic);
    const Lanes n = shifted - magic;
    const Lanes r = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), clamped));
    Lanes p = splat(1.9875691500e-4f);
    p = fma(p, r, splat(1.3981999507e-3f));
    p = fma(p, r, splat(8.3334519073e-3f));
    p = fma(p, r, splat(4.1665795894e-2f));
    p = fma(p, r, splat(1.6666665459e-1f));
    p = fma(p, r, splat(5.0000001201e-1f));
    p = fma(p, r * r, r) + splat(1.0f);
    const Bits exponent = ((Bits)shifted - (Bits)magic) << 23;
    return x > floor_at ? (Lanes)((Bits)p + exponent) : splat(0.0f);
}

inline Lanes load_f16(const uint16_t* at) {
#if defined(__AVX512F__)
    return (Lanes)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
#elif defined(__F16C__)
    __m256 x[2];
    for (int i = 0; i < 2; ++i) x[i] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at) + i));
    return load<Lanes>(x);
#elif defined(__aarch64__)
    float32x4_t x[4];
    for (int i = 0; i < 4; ++i) x[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at + 4 * i)));
    return load<Lanes>(x);
#else
    Lanes v;
    for (int i = 0; i < 16; ++i) v[i] = float_of_half(at[i]);
    return v;
#endif
}

// Rounds to nearest even, as the machine does; values beyond 65504 become infinite.
inline void store_f16(uint16_t* at, Lanes v) {
#if defined(__AVX512F__)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    __m256 x[2];
    std::memcpy(x, &v, sizeof v);
    for (int i = 0; i < 2; ++i)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(at) + i, _mm256_cvtps_ph(x[i], _MM_FROUND_TO_NEAREST_INT));
#elif defined(__aarch64__)
    float32x4_t x[4];
    std::memcpy(x, &v, sizeof v);
    for (int i = 0; i < 4; ++i) vst1_u16(at + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x[i])));
#else
    for (int i = 0; i < 16; ++i) at[i] = half_of_float(v[i]);
#endif
}

typedef int8_t Bytes __attribute__((vector_size(16)));
typedef uint16_t Shorts __attribute__((vector_size(32)));

// Bytes and 16-bit numbers to 32 bits and back: compilers' generic conversions take these apart one by one.
inline Ints widen(Bytes v) {
#if defined(__AVX512F__)
    return (Ints)_mm512_cvtepi8_epi32((__m128i)v);
#elif defined(__AVX2__)
    const __m256i x[2] = {_mm256_cvtepi8_epi32((__m128i)v), _mm256_cvtepi8_epi32(_mm_srli_si128((__m128i)v, 8))};
    return load<Ints>(x);
#else
    return __builtin_convertvector(v, Ints);
#endif
}

inline Ints widen(Shorts v) {
#if defined(__AVX512F__)
    return (Ints)_mm512_cvtepu16_epi32((__m256i)v);
#elif defined(__AVX2__)
    const __m256i x[2] = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128((__m256i)v)),
                          _mm256_cvtepu16_epi32(_mm256_extracti128_si256((__m256i)v, 1))};
    return load<Ints>(x);
#else
    return __builtin_convertvector(v, Ints);
#endif
}

inline Bytes narrow_to_bytes(Ints v) {
#if defined(__AVX512F__)
    return (Bytes)_mm512_cvtepi32_epi8((__m512i)v);
#else
    return __builtin_convertvector(v, Bytes);
#endif
}

inline Shorts narrow_to_shorts(Ints v) {
#if defined(__AVX512F__)
    return (Shorts)_mm512_cvtepi32_epi16((__m512i)v);
#else
    return __builtin_convertvector(v, Shorts);
#endif
}

inline void store_bf16(uint16_t* at, Lanes v) {
    const Bits bits = (Bits)v;
    const Shorts result = narrow_to_shorts((Ints)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16));
    std::memcpy(at, &result, sizeof result);
}

inline Lanes load_bf16(const uint16_t* at) { return (Lanes)((Bits)widen(load<Shorts>(at)) << 16); }

inline Lanes load_i8(const int8_t* at) { return __builtin_convertvector(widen(load<Bytes>(at)), Lanes); }

// Bits of |x|: as whole numbers they are ordered like |x|, infinity last but for what is not a number.
inline Ints magnitudes(Lanes x) { return (Ints)x & 0x7fffffff; }

// How numbers become whole codes in -limit..limit, x = scale * code: nearest, ties to even. Below 1e-30 all are 0, since limit / x
// would leave float32; beyond float32 codes are 0 and the scale says what was there: infinite, or not a number.
struct Coding {
    Lanes inverse;
    Bits keep;
    float scale;

    Coding(Ints magnitudes, float limit) {
        constexpr float kSmallest = 1e-30f;
        const float largest = float_of_bits(static_cast<uint32_t>(reduce_max(magnitudes)));
        const bool empty = !(largest >= kSmallest && largest <= std::numeric_limits<float>::max());
        inverse = splat(empty ? 0 : limit / largest);
        keep = Bits{} + (empty ? 0u : ~0u);
        scale = largest < kSmallest ? 0 : largest / limit;
    }
    Ints codes(Lanes x) const {
        const Lanes magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
        return (Ints)(((Bits)(x * inverse + magic) - (Bits)magic) & keep);
    }
};

// Four products of signed bytes |x| <= 127 a lane: dot4(sums, ready(a), b) = sums + a0 b0 + ... + a3 b3 + kBias (b0 + ... + b3).
// The machine multiplies unsigned by signed; where that needs a bias, whoever calls takes it off again.
#if defined(__AVX512VNNI__)
constexpr int kBias = 128;
inline Ints ready(Ints a) { return a ^ splat(static_cast<int32_t>(0x80808080)); }
inline Ints dot4(Ints sums, Ints a, Ints b) { return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)a, (__m512i)b); }
#else
constexpr int kBias = 0;
inline Ints ready(Ints a) { return a; }
inline Ints dot4(Ints sums, Ints a, Ints b) {
#if defined(__AVX2__)
    __m256i x[2], y[2], z[2];
    std::memcpy(x, &a, sizeof a), std::memcpy(y, &b, sizeof b), std::memcpy(z, &sums, sizeof sums);
    for (int i = 0; i < 2; ++i) {  // pairs reach at most 2 * 127 * 127 < 2^15
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x[i]), _mm256_sign_epi8(y[i], x[i]));
        z[i] = _mm256_add_epi32(z[i], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    std::memcpy(&sums, z, sizeof sums);
#elif defined(__ARM_FEATURE_DOTPROD)
    int32x4_t z[4];
    int8x16_t x[4], y[4];
    std::memcpy(x, &a, sizeof a), std::memcpy(y, &b, sizeof b), std::memcpy(z, &sums, sizeof sums);
    for (int i = 0; i < 4; ++i) z[i] = vdotq_s32(z[i], x[i], y[i]);
    std::memcpy(&sums, z, sizeof sums);
#else
    int8_t x[64], y[64];
    std::memcpy(x, &a, sizeof a), std::memcpy(y, &b, sizeof b);
    for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 4; ++j) sums[i] += x[4 * i + j] * y[4 * i + j];
#endif
    return sums;
}
#endif

}  // namespace
}  // namespace smolforge
