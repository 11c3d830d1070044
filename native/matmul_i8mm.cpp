// aarch64 with int8 matrix products (Armv8.6 and later: Graviton 3, Apple M2): two rows of activations at a time.
//
// smmla multiplies two rows of 8 weight columns with two rows of 8 activations into four sums. Two groups of 4 columns interleave
// into such rows; the four sums part again into one register an activation row:
//
//   group j:     a0 a1 a2 a3  ─ zip ─▶  a0 b0 | a1 b1   x  u v   ─▶   a0u a0v a1u a1v  ─ uzp ─▶  row u: 0u 1u 2u 3u
//   group j + 1: b0 b1 b2 b3            a2 b2 | a3 b3                 a2u a2v a3u a3v            row v: 0v 1v 2v 3v
//
// Sums are integers, so they equal those of the dot products that an odd last row takes.
#include "matmul_neon.h"

namespace smolforge {
namespace {

struct I8mm : Neon {};

template <Kind K, int R>
struct BlockDots<I8mm, K, R, 1> {
    static constexpr int slices = 4, S = 4, halves = Traits<K>::halves, groups = 8 / halves;

    [[gnu::always_inline]] static inline void compute(const uint8_t* panel, size_t stride, const Tile& x, int64_t block, int half,
                                                      int32x4_t (&dots)[R][S]) {
        if constexpr (R % 2 == 1) {
            BlockDots<Neon, K, R, 1>::compute(panel, stride, x, block, half, dots);
        } else {
            compute_pairs(panel, x, block, half, dots);
        }
    }

    [[gnu::always_inline]] static inline void compute_pairs(const uint8_t* panel, const Tile& x, int64_t block, int half,
                                                            int32x4_t (&dots)[R][S]) {
        const int8_t* codes = x.codes + block * kBlockCols + half * 16;
        const int32_t* offsets = x.offsets + block * halves + half;
        int32x4_t squares[R / 2][S][2];
        for (auto& pair : squares) {
            for (auto& both : pair) both[0] = both[1] = vdupq_n_s32(0);
        }
#pragma GCC unroll 4
        for (int j = 0; j < groups; j += 2) {
            int8x16_t rows[R / 2];
            for (int p = 0; p < R / 2; ++p) {
                const int8_t* first = codes + 2 * p * x.cols + 4 * j;
                rows[p] = vcombine_s8(vld1_s8(first), vld1_s8(first + x.cols));
            }
            for (int s = 0; s < S; ++s) {
                const int32x4_t a = vreinterpretq_s32_s8(Neon::unpack<K>(panel, s, half * groups + j));
                const int32x4_t b = vreinterpretq_s32_s8(Neon::unpack<K>(panel, s, half * groups + j + 1));
                const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(a, b)), high = vreinterpretq_s8_s32(vzip2q_s32(a, b));
                for (int p = 0; p < R / 2; ++p) {
                    squares[p][s][0] = vmmlaq_s32(squares[p][s][0], low, rows[p]);
                    squares[p][s][1] = vmmlaq_s32(squares[p][s][1], high, rows[p]);
                }
            }
        }
        for (int r = 0; r < R; ++r) {
            const int32x4_t offset = vdupq_n_s32(offsets[r * x.blocks * halves]);
            for (int s = 0; s < S; ++s) {
                const int32x4_t low = squares[r / 2][s][0], high = squares[r / 2][s][1];
                dots[r][s] = vaddq_s32(offset, r % 2 ? vuzp2q_s32(low, high) : vuzp1q_s32(low, high));
            }
        }
    }
};

}  // namespace

extern const Kernels kI8mmKernels;
const Kernels kI8mmKernels = {Isa::i8mm, "i8mm", quantize_plain, matmul_quantized<I8mm>, matmul_float<I8mm>, unpack_row_plain};

}  // namespace smolforge
