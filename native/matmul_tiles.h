// The loops of every vector instruction set: panels of weights against tiles of activation rows.
//
// A set describes its vectors in a struct V (matmul_avx512.cpp is the shortest): kLanes rows of a panel side by side, so a panel of
// 16 rows is 16 / kLanes slices; kPanels panels are worked on at once, S slices in all, against a tile of R activation rows:
//
//   for each block of 32 columns:
//       for each group of 4 columns:   unpack S registers of weights; for each row: 4 activations, S x 4-column dot products
//       for each row and slice:        integer sum ─▶ one multiply, one fma into that row's outputs
//
// The R x S integer sums stay in registers. The operations behind one output are those of matmul_plain.cpp whatever R and S.
#pragma once

#include <algorithm>
#include <cstring>

#include "matmul_plain.h"
#include "scratch.h"

namespace smolforge {

namespace {

constexpr int64_t kPrefetch = 4608;        // bytes of codes ahead of the block in work
constexpr size_t kChunkBytes = 256 << 10;  // of panels that stay in the second-level cache

template <Kind K>
struct Traits {
    static constexpr bool nibbles = K == Kind::q4 || K == Kind::q4m || K == Kind::q4k;
    static constexpr bool is_signed = K == Kind::q4 || K == Kind::q8 || K == Kind::q8h;  // the others' codes are 0..31
    static constexpr bool has_min = !is_signed;
    static constexpr int halves = K == Kind::q8h || K == Kind::q8hm ? 2 : 1;  // scales per block
    static constexpr Layout shape = kLayouts[static_cast<int>(K)];
};

struct Tile {  // activation rows that pass a panel together; h: halves of the kind
    int rows;
    int64_t cols, blocks;
    const int8_t* codes;     // [rows, cols]
    const float* scales;     // [rows, blocks]
    const int32_t* offsets;  // [rows, blocks, h] what the integer sum starts from: -offset * sum of the codes
    const float* totals;     // [rows, blocks, h] scale * sum of the codes, for the minimum
};

// Codes a set stores as unsigned are too large by `offset`.
template <Kind K>
Tile make_tile(const QuantizedRows& x, int row, int rows, int offset) {
    constexpr int halves = Traits<K>::halves;
    const int64_t blocks = x.cols / kBlockCols, count = rows * blocks;
    const int8_t* codes = x.codes + row * x.cols;
    const float* scales = x.scales + row * blocks;
    const int32_t* sums = x.sums + row * blocks;
    int32_t* offsets = static_cast<int32_t*>(scratch(static_cast<size_t>(count) * halves * 8));
    float* totals = reinterpret_cast<float*>(offsets + count * halves);
    for (int64_t i = 0; i < count; ++i) {
        int32_t first = sums[i];
        if (halves == 2) {
            first = 0;
            for (int c = 0; c < 16; ++c) first += codes[i * kBlockCols + c];
            offsets[2 * i + 1] = -offset * (sums[i] - first);
            totals[2 * i + 1] = scales[i] * static_cast<float>(sums[i] - first);
        }
        offsets[halves * i] = -offset * first;
        totals[halves * i] = scales[i] * static_cast<float>(first);
    }
    return {rows, x.cols, blocks, codes, scales, offsets, totals};
}

// Scales (or minima) of one slice of one block; `half` of the block, for kinds that have two.
template <class V, Kind K>
inline typename V::Float load_scale(const uint8_t* scales, int64_t block, int slice, int half) {
    constexpr Layout shape = Traits<K>::shape;
    const int lane = slice * V::kLanes, place = static_cast<int>(block % shape.span) * Traits<K>::halves + half;
    const uint8_t* group = scales + block / shape.span * shape.scale_bytes;
    const typename V::Float d = V::from_half(group + 2 * lane);
    if constexpr (shape.span == 1) return d;
    if constexpr (K == Kind::q8h) return V::mul(d, V::from_i8(group + 32 + 16 * place + lane));
    return V::mul(d, V::from_u8(group + 64 + 32 * place + lane));
}

template <class V, Kind K>
inline typename V::Float load_min(const uint8_t* scales, int64_t block, int slice, int half) {
    constexpr Layout shape = Traits<K>::shape;
    const int lane = slice * V::kLanes, place = static_cast<int>(block % shape.span) * Traits<K>::halves + half;
    const uint8_t* group = scales + block / shape.span * shape.scale_bytes + 32;
    const typename V::Float min = V::from_half(group + 2 * lane);
    if constexpr (shape.span == 1) return min;
    return V::negate(V::mul(min, V::from_u8(group + 48 + 32 * place + lane)));
}

// The integer sums of one block (or half of it) of P panels, `stride` bytes apart, with R rows: dots[row][slice].
template <class V, Kind K, int R, int P>
struct BlockDots {
    static constexpr int slices = kPanelRows / V::kLanes, S = P * slices, halves = Traits<K>::halves, groups = 8 / halves;

    [[gnu::always_inline]] static inline void compute(const uint8_t* panel, size_t stride, const Tile& x, int64_t block, int half,
                                                      typename V::Int (&dots)[R][S]) {
        const int8_t* codes = x.codes + block * kBlockCols + half * 16;
        const int32_t* offsets = x.offsets + block * halves + half;
        for (int r = 0; r < R; ++r) {
            for (int s = 0; s < S; ++s) dots[r][s] = V::template start<K>(offsets + r * x.blocks * halves);
        }
#pragma GCC unroll 8
        for (int j = 0; j < groups; ++j) {
            typename V::Codes w[S];
            for (int s = 0; s < S; ++s) w[s] = V::template unpack<K>(panel + s / slices * stride, s % slices, half * groups + j);
            for (int r = 0; r < R; ++r) {
                const typename V::Codes four = V::splat_four(codes + r * x.cols + 4 * j);
                for (int s = 0; s < S; ++s) dots[r][s] = V::template add_products<K>(dots[r][s], w[s], four);
            }
        }
        for (int r = 0; r < R; ++r) {
            for (int s = 0; s < S; ++s) dots[r][s] = V::template total<K>(dots[r][s], offsets + r * x.blocks * halves);
        }
    }
};

// sums[row][slice] = fma(factors[slice], values of the row, the same): `values(row, slice)`.
template <class V, int R, int S, class Values>
[[gnu::always_inline]] inline void add_scaled(const typename V::Float (&factors)[S], float* sums, const Values& values) {
    for (int r = 0; r < R; ++r) {
        for (int s = 0; s < S; ++s) {
            float* sum = sums + (r * S + s) * V::kLanes;
            V::store(sum, V::fma(factors[s], values(r, s), V::load(sum)));
        }
    }
}

// P panels against the R rows of a tile: sums[row][16 P].
template <class V, Kind K, int R, int P>
void multiply_tile(const uint8_t* panel, size_t stride, const Tile& tile, float* sums) {
    using Dots = BlockDots<V, K, R, P>;
    constexpr int slices = Dots::slices, S = Dots::S, halves = Dots::halves, bytes = Traits<K>::shape.code_bytes;
    const Tile x = tile;
    const uint8_t* scales = panel + codes_bytes(K, x.cols);
    const int64_t ahead = std::min(kPrefetch / bytes, x.blocks);
    for (int i = 0; i < R * S; ++i) V::store(sums + i * V::kLanes, V::zero());
    for (int64_t b = 0; b < x.blocks; ++b, panel += bytes) {
        // Behind the end of these panels comes the beginning of the next P, which are worked on next.
        const uint8_t* next = panel + ahead * bytes + (b + ahead < x.blocks ? 0 : P * stride - x.blocks * bytes);
        for (int at = 0; at < P * bytes; at += 64) V::prefetch(next + at / bytes * stride + at % bytes);
        if (b % 2 == 0)
            for (int p = 0; p < P; ++p) V::prefetch(scales + (P + p) * stride + b * 32);
        typename V::Float factors[S];
        for (int half = 0; half < halves; ++half) {
            typename V::Int dots[R][S];
            Dots::compute(panel, stride, x, b, half, dots);
            for (int s = 0; s < S; ++s) factors[s] = load_scale<V, K>(scales + s / slices * stride, b, s % slices, half);
            add_scaled<V, R, S>(factors, sums, [&](int r, int s) {
                return V::mul(V::to_float(dots[r][s]), V::splat(x.scales + b + r * x.blocks));
            });
        }
        for (int half = 0; Traits<K>::has_min && half < halves; ++half) {
            for (int s = 0; s < S; ++s) factors[s] = load_min<V, K>(scales + s / slices * stride, b, s % slices, half);
            add_scaled<V, R, S>(factors, sums, [&](int r, int) { return V::splat(x.totals + (b + r * x.blocks) * halves + half); });
        }
    }
}

// There is code for tiles of 1 to 8 rows and of V::kRows.
template <class V>
int tile_rows(int rows) {
    return rows >= V::kRows ? V::kRows : rows > 8 ? (rows + 1) / 2 : rows;
}

template <class V, Kind K, int P, int R = V::kRows>
void multiply(const uint8_t* panel, size_t stride, const Tile& x, float* sums) {
    if constexpr (R > 1) {
        if (x.rows < R) return multiply<V, K, P, (R > 8 ? 8 : R - 1)>(panel, stride, x, sums);
    }
    multiply_tile<V, K, R, P>(panel, stride, x, sums);
}

// sums[row][16 panels] to their places in `out`, without the rows a last panel only has inside.
inline void write_panels(const float* sums, int rows, int panels, int64_t weight_rows, int64_t panel, float* out, int64_t out_stride) {
    const int64_t first = panel * kPanelRows, width = panels * kPanelRows, left = weight_rows - first;
    const size_t bytes = static_cast<size_t>(left < width ? left : width) * sizeof(float);
    for (int r = 0; r < rows; ++r) std::memcpy(out + r * out_stride + first, sums + r * width, bytes);
}

// Panels in chunks that stay in the second-level cache while all tiles pass.
template <class V, Kind K>
void matmul_kind(const Packed& weights, const QuantizedRows& x, float* out, int64_t out_stride, int64_t panel_begin, int64_t panel_end) {
    const size_t stride = panel_bytes(K, weights.cols);
    const int64_t chunk = x.rows <= V::kRows ? panel_end - panel_begin : (static_cast<int64_t>(kChunkBytes / stride) + 2) / 2 * 2;
    alignas(64) float sums[V::kRows * V::kPanels * kPanelRows];
    for (int64_t first = panel_begin; first < panel_end; first += chunk) {
        const int64_t last = first + chunk < panel_end ? first + chunk : panel_end;
        for (int row = 0, rows = 0; row < x.rows; row += rows) {
            rows = tile_rows<V>(x.rows - row);
            const Tile tile = make_tile<K>(x, row, rows, V::template offset<K>());
            for (int64_t panel = first; panel < last; panel += V::kPanels) {
                const uint8_t* at = weights.data + static_cast<size_t>(panel) * stride;
                const int count = last - panel < V::kPanels ? 1 : V::kPanels;
                (count == 1 ? multiply<V, K, 1> : multiply<V, K, V::kPanels>)(at, stride, tile, sums);
                write_panels(sums, rows, count, weights.rows, panel, out + row * out_stride, out_stride);
            }
        }
    }
}

template <class V>
void matmul_quantized(const Packed& weights, const QuantizedRows& x, float* out, int64_t out_stride, int64_t begin, int64_t end) {
    switch (weights.kind) {
        case Kind::q4: return matmul_kind<V, Kind::q4>(weights, x, out, out_stride, begin, end);
        case Kind::q4m: return matmul_kind<V, Kind::q4m>(weights, x, out, out_stride, begin, end);
        case Kind::q4k: return matmul_kind<V, Kind::q4k>(weights, x, out, out_stride, begin, end);
        case Kind::q8: return matmul_kind<V, Kind::q8>(weights, x, out, out_stride, begin, end);
        case Kind::q8m: return matmul_kind<V, Kind::q8m>(weights, x, out, out_stride, begin, end);
        case Kind::q8k: return matmul_kind<V, Kind::q8k>(weights, x, out, out_stride, begin, end);
        case Kind::q8h: return matmul_kind<V, Kind::q8h>(weights, x, out, out_stride, begin, end);
        case Kind::q8hm: return matmul_kind<V, Kind::q8hm>(weights, x, out, out_stride, begin, end);
        default: return;
    }
}

}  // namespace
}  // namespace smolforge
