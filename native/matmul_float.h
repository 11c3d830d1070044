// Float weights against float activations: a panel is a column of 16 rows after another, so each weight vector meets one activation.
//
// Four sums per output take columns 4 i, 4 i + 1, 4 i + 2, 4 i + 3 and are added as (0 + 1) + (2 + 3), as in matmul_plain.cpp: four
// chains hide the latency of the fma, and the order does not depend on the number of rows.
#pragma once

#include "matmul_tiles.h"

namespace smolforge {
namespace {

template <class V, Kind K>
typename V::Float load_column(const uint8_t* panel, int64_t column, int slice) {
    const int64_t i = column * kPanelRows + slice * V::kLanes;
    if constexpr (K == Kind::f16) return V::from_half(panel + 2 * i);
    if constexpr (K == Kind::bf16) return V::from_bfloat(panel + 2 * i);
    return V::load(reinterpret_cast<const float*>(panel) + i);
}

// One slice of one panel against R rows of x: to sums[row][16].
template <class V, Kind K, int R>
void multiply_float_tile(const uint8_t* panel, int slice, const float* x, int64_t cols, float* sums) {
    typename V::Float parts[R][4];
    for (int r = 0; r < R; ++r) {
        for (int part = 0; part < 4; ++part) parts[r][part] = V::zero();
    }
    for (int64_t c = 0; c < cols; c += 4) {
#pragma GCC unroll 4
        for (int part = 0; part < 4; ++part) {
            const typename V::Float w = load_column<V, K>(panel, c + part, slice);
            for (int r = 0; r < R; ++r) parts[r][part] = V::fma(w, V::splat(x + r * cols + c + part), parts[r][part]);
        }
    }
    for (int r = 0; r < R; ++r) {
        const typename V::Float sum = V::add(V::add(parts[r][0], parts[r][1]), V::add(parts[r][2], parts[r][3]));
        V::store(sums + r * kPanelRows + slice * V::kLanes, sum);
    }
}

template <class V, Kind K>
void matmul_float_kind(const Packed& weights, const float* x, int rows, float* out, int64_t out_stride, int64_t begin, int64_t end) {
    const size_t stride = panel_bytes(K, weights.cols);
    alignas(64) float sums[V::kFloatRows * kPanelRows];
    for (int64_t panel = begin; panel < end; ++panel) {
        const uint8_t* at = weights.data + static_cast<size_t>(panel) * stride;
        for (int row = 0, count = 0; row < rows; row += count) {
            count = rows - row < V::kFloatRows ? 1 : V::kFloatRows;
            for (int slice = 0; slice < kPanelRows / V::kLanes; ++slice) {
                (count == 1 ? multiply_float_tile<V, K, 1> : multiply_float_tile<V, K, V::kFloatRows>)(at, slice, x + row * weights.cols,
                                                                                                     weights.cols, sums);
            }
            write_panels(sums, count, 1, weights.rows, panel, out + row * out_stride, out_stride);
        }
    }
}

template <class V>
void matmul_float(const Packed& weights, const float* x, int rows, float* out, int64_t out_stride, int64_t begin, int64_t end) {
    switch (weights.kind) {
        case Kind::f16: return matmul_float_kind<V, Kind::f16>(weights, x, rows, out, out_stride, begin, end);
        case Kind::bf16: return matmul_float_kind<V, Kind::bf16>(weights, x, rows, out, out_stride, begin, end);
        case Kind::f32: return matmul_float_kind<V, Kind::f32>(weights, x, rows, out, out_stride, begin, end);
        default: return;
    }
}

}  // namespace
}  // namespace smolforge
