// NEON, with int8 dot products where the set has them: a register is a quarter of a vector of packed codes, 4 rows x 4 columns; a
// panel is four slices.
//
// Both operands are signed, so 8-bit codes are used as they lie, and 4-bit codes 0..15 start their sums at -8 times the sum of x.
#pragma once

#include <arm_neon.h>

#include "matmul_float.h"

namespace smolforge {
namespace {

struct Neon {
    static constexpr int kLanes = 4, kPanels = 1, kRows = 6, kFloatRows = 4;
    using Float = float32x4_t;
    using Int = int32x4_t;
    using Codes = int8x16_t;
    template <Kind>
    using Dot = int32x4_t;

    static Float zero() { return vdupq_n_f32(0); }
    static Float load(const float* at) { return vld1q_f32(at); }
    static void store(float* at, Float v) { vst1q_f32(at, v); }
    static Float splat(const float* at) { return vld1q_dup_f32(at); }
    static Float add(Float a, Float b) { return vaddq_f32(a, b); }
    static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
    static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
    static Float negate(Float a) { return vnegq_f32(a); }
    static Float to_float(Int v) { return vcvtq_f32_s32(v); }
    static Float from_half(const uint8_t* at) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at))); }
    static Float from_u8(const uint8_t* at) { return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(four_bytes(at))))); }
    static Float from_i8(const uint8_t* at) {
        return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(four_bytes(at))))));
    }
    static Float from_bfloat(const uint8_t* at) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(at)), 16)); }
    static void prefetch(const uint8_t* at) { __builtin_prefetch(at); }

    template <Kind K>
    static constexpr int offset() {
        return K == Kind::q4 ? 8 : 0;
    }

    template <Kind K>
    static Codes unpack(const uint8_t* codes, int slice, int group) {
        const uint8x16_t bytes = vld1q_u8(codes + slice * 16 + (Traits<K>::nibbles ? group % 4 : group) * 64);
        if constexpr (!Traits<K>::nibbles) return vreinterpretq_s8_u8(bytes);
        return vreinterpretq_s8_u8(group < 4 ? vandq_u8(bytes, vdupq_n_u8(15)) : vshrq_n_u8(bytes, 4));
    }

    static Codes splat_four(const int8_t* x) {
        int32_t four;
        std::memcpy(&four, x, 4);
        return vreinterpretq_s8_s32(vdupq_n_s32(four));
    }

    template <Kind>
    static Int start(const int32_t* offset) {
        return vdupq_n_s32(*offset);
    }
    template <Kind>
    static Int add_products(Int sum, Codes w, Codes x) {
#if defined(__ARM_FEATURE_DOTPROD)
        return vdotq_s32(sum, w, x);
#else  // a product of two bytes fits 16 bits; neighbours are added twice
        const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x))), high = vpaddlq_s16(vmull_high_s8(w, x));
        return vaddq_s32(sum, vpaddq_s32(low, high));
#endif
    }
    template <Kind>
    static Int total(Int sum, const int32_t*) {
        return sum;
    }

private:
    static uint8x8_t four_bytes(const uint8_t* at) {
        uint32_t four;
        std::memcpy(&four, at, 4);
        return vreinterpret_u8_u32(vdup_n_u32(four));
    }
};

}  // namespace
}  // namespace smolforge
