// AVX-512 with VNNI: one register is one vector of packed codes, 16 rows x 4 columns.
#include <immintrin.h>

#include <cstring>

#include "matmul_float.h"

namespace smolforge {
namespace {

struct Avx512 {
    static constexpr int kLanes = 16, kPanels = 2, kRows = 12, kFloatRows = 4;
    using Float = __m512;
    using Int = __m512i;
    using Codes = __m512i;
    template <Kind>
    using Dot = __m512i;

    static Float zero() { return _mm512_setzero_ps(); }
    static Float load(const float* at) { return _mm512_load_ps(at); }
    static void store(float* at, Float v) { _mm512_store_ps(at, v); }
    static Float splat(const float* at) { return _mm512_set1_ps(*at); }
    static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
    static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
    static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
    static Float negate(Float a) { return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN))); }
    static Float to_float(Int v) { return _mm512_cvtepi32_ps(v); }
    static Float from_half(const uint8_t* at) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))); }
    static Float from_u8(const uint8_t* at) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)))); }
    static Float from_i8(const uint8_t* at) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)))); }
    static Float from_bfloat(const uint8_t* at) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at))), 16));
    }
    static void prefetch(const uint8_t* at) { _mm_prefetch(reinterpret_cast<const char*>(at), _MM_HINT_T0); }

    // vpdpbusd wants one operand unsigned: signed codes are shifted into 0..15 or 0..255, and the dot product starts below zero.
    template <Kind K>
    static constexpr int offset() {
        return K == Kind::q4 ? 8 : Traits<K>::is_signed ? 128 : 0;
    }

    // Columns 4 group ... 4 group + 3 of the block, as unsigned bytes.
    template <Kind K>
    static Codes unpack(const uint8_t* codes, int, int group) {
        if constexpr (Traits<K>::nibbles) {
            const __m512i both = _mm512_load_si512(codes + group % 4 * 64);
            return _mm512_and_si512(group < 4 ? both : _mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
        }
        const __m512i bytes = _mm512_load_si512(codes + group * 64);
        return Traits<K>::is_signed ? _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)) : bytes;
    }

    static Codes splat_four(const int8_t* x) {
        int32_t four;
        std::memcpy(&four, x, 4);
        return _mm512_set1_epi32(four);
    }

    template <Kind>
    static Int start(const int32_t* offset) {
        return _mm512_set1_epi32(*offset);
    }
    template <Kind>
    static Int add_products(Int sum, Codes w, Codes x) {
        return _mm512_dpbusd_epi32(sum, w, x);
    }
    template <Kind>
    static Int total(Int sum, const int32_t*) {
        return sum;
    }
};

}  // namespace

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels = {Isa::avx512vnni, "avx512vnni", quantize_plain, matmul_quantized<Avx512>, matmul_float<Avx512>, unpack_row_plain};

}  // namespace smolforge
