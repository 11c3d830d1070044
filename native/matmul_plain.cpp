// Matrix kernels in plain C++: what every instruction set must reproduce to the bit, written to be read.
//
// For one output number, over blocks of 32 columns in order, starting from 0 (sum: of weight code * activation code, an integer;
// scale, min: of the weights; a, total: the activation's scale and the sum of its codes; every fma rounds once):
//
//   acc = fma(scale, a * float(sum), acc)                per 32 columns, or per 16 (first half, second half)
//   acc = fma(min, a * float(total), acc)                kinds with a minimum, after the line above
//
// For float weights four sums take the columns 4 i, 4 i + 1, 4 i + 2, 4 i + 3 in order by fma, and are added as (0 + 1) + (2 + 3).
#include <cmath>
#include <cstdlib>

#include "half.h"
#include "matmul_plain.h"

namespace smolforge {
namespace {

constexpr float kSmallest = 1e-30f;  // blocks whose largest |x| is below become zeros: 127 / |x| would leave float32

// The 32 codes of one row of a block.
void load_codes(Kind kind, const uint8_t* codes, int row, int* to) {
    const bool nibbles = layout(kind).code_bytes == 256;
    for (int column = 0; column < kBlockCols; ++column) {
        const int group = column / 4, byte = row * 4 + column % 4;
        if (nibbles) {
            const int both = codes[group % 4 * 64 + byte];
            to[column] = (group < 4 ? both & 15 : both >> 4) - (kind == Kind::q4 ? 8 : 0);
        } else {
            to[column] = static_cast<int8_t>(codes[group * 64 + byte]);
        }
    }
}

float half_at(const uint8_t* lane, int row) { return float_of_half(load_u16(lane + 2 * row)); }

struct Scales {  // of one row of one block, per half block
    float scale[2], min[2];
};

// `scales` is the start of the panel's scales.
Scales load_scales(Kind kind, const uint8_t* scales, int64_t block, int row) {
    const Layout& shape = layout(kind);
    const uint8_t* group = scales + block / shape.span * shape.scale_bytes;
    const int place = static_cast<int>(block % shape.span);
    const bool halves = kind == Kind::q8h || kind == Kind::q8hm;
    Scales to{};
    for (int half = 0; half < 2; ++half) {
        const int i = halves ? 2 * place + half : place;
        const float d = half_at(group, row);
        if (kind == Kind::q8h) {
            to.scale[half] = d * static_cast<int8_t>(group[32 + 16 * i + row]);
        } else if (shape.span == 1) {
            to.scale[half] = d;
            if (shape.scale_bytes == 64) to.min[half] = half_at(group + 32, row);
        } else {
            to.scale[half] = d * group[64 + 32 * i + row];
            to.min[half] = -(half_at(group + 32, row) * group[64 + 32 * i + 16 + row]);
        }
    }
    return to;
}

// Codes and scales of one block of one panel, taken out of their layout.
struct Block {
    int codes[kPanelRows][kBlockCols];
    Scales scales[kPanelRows];
};

bool has_min(Kind kind) { return kind != Kind::q4 && kind != Kind::q8 && kind != Kind::q8h; }

int dot(const int* weights, const int8_t* x, int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += weights[i] * x[i];
    return sum;
}

int total(const int8_t* x, int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += x[i];
    return sum;
}

// Adds one block's share to the 16 sums of one activation row.
void add_block(Kind kind, const Block& weights, const int8_t* x, float a, float* sums) {
    const int halves = kind == Kind::q8h || kind == Kind::q8hm ? 2 : 1;
    const int count = kBlockCols / halves;
    for (int row = 0; row < kPanelRows; ++row) {
        for (int half = 0; half < halves; ++half) {
            const float product = a * static_cast<float>(dot(weights.codes[row] + half * count, x + half * count, count));
            sums[row] = std::fma(weights.scales[row].scale[half], product, sums[row]);
        }
        for (int half = 0; has_min(kind) && half < halves; ++half) {
            sums[row] = std::fma(weights.scales[row].min[half], a * static_cast<float>(total(x + half * count, count)), sums[row]);
        }
    }
}

int rows_of_panel(const Packed& weights, int64_t panel) {
    const int64_t left = weights.rows - panel * kPanelRows;
    return static_cast<int>(left < kPanelRows ? left : kPanelRows);
}

void matmul(const Packed& weights, const QuantizedRows& x, float* out, int64_t out_stride, int64_t panel_begin, int64_t panel_end) {
    const int64_t blocks = weights.cols / kBlockCols;
    const size_t stride = panel_bytes(weights.kind, weights.cols);
    for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
        const uint8_t* codes = weights.data + static_cast<size_t>(panel) * stride;
        const uint8_t* scales = codes + codes_bytes(weights.kind, weights.cols);
        const int rows = rows_of_panel(weights, panel);
        for (int r = 0; r < x.rows; ++r) {
            for (int n = 0; n < rows; ++n) out[r * out_stride + panel * kPanelRows + n] = 0;
        }
        Block block;
        for (int64_t b = 0; b < blocks; ++b) {
            for (int n = 0; n < kPanelRows; ++n) {
                load_codes(weights.kind, codes + b * layout(weights.kind).code_bytes, n, block.codes[n]);
                block.scales[n] = load_scales(weights.kind, scales, b, n);
            }
            for (int r = 0; r < x.rows; ++r) {
                float sums[kPanelRows] = {};
                float* to = out + r * out_stride + panel * kPanelRows;
                for (int n = 0; n < rows; ++n) sums[n] = to[n];
                add_block(weights.kind, block, x.codes + r * x.cols + b * kBlockCols, x.scales[r * blocks + b], sums);
                for (int n = 0; n < rows; ++n) to[n] = sums[n];
            }
        }
    }
}

float float_at(Kind kind, const uint8_t* panel, int64_t column, int row) {
    const int64_t i = column * kPanelRows + row;
    if (kind == Kind::f16) return float_of_half(load_u16(panel + 2 * i));
    if (kind == Kind::bf16) return float_of_bfloat(load_u16(panel + 2 * i));
    float value;
    std::memcpy(&value, panel + 4 * i, sizeof value);
    return value;
}

}  // namespace

void quantize_plain(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums) {
    for (int64_t block = 0; block < cols / kBlockCols; ++block, x += kBlockCols, codes += kBlockCols) {
        float largest = 0;
        for (int i = 0; i < kBlockCols; ++i) {  // what is not a number stays the largest
            if (!(std::fabs(x[i]) <= largest) && !std::isnan(largest)) largest = std::fabs(x[i]);
        }
        const bool empty = !(largest >= kSmallest && largest <= 3.402823466e38f);
        const float inverse = empty ? 0 : 127 / largest;
        scales[block] = largest < kSmallest ? 0 : largest / 127;  // infinite, or not a number, where an activation is
        sums[block] = 0;
        for (int i = 0; i < kBlockCols; ++i) {
            codes[i] = empty ? 0 : static_cast<int8_t>(std::nearbyint(x[i] * inverse));
            sums[block] += codes[i];
        }
    }
}

void matmul_float_plain(const Packed& weights, const float* x, int rows, float* out, int64_t out_stride, int64_t panel_begin,
                  int64_t panel_end) {
    const size_t stride = panel_bytes(weights.kind, weights.cols);
    for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
        const uint8_t* values = weights.data + static_cast<size_t>(panel) * stride;
        for (int r = 0; r < rows; ++r) {
            for (int n = 0; n < rows_of_panel(weights, panel); ++n) {
                float sums[4] = {};
                for (int64_t c = 0; c < weights.cols; ++c) {
                    sums[c % 4] = std::fma(float_at(weights.kind, values, c, n), x[r * weights.cols + c], sums[c % 4]);
                }
                out[r * out_stride + panel * kPanelRows + n] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
            }
        }
    }
}

void unpack_row_plain(const Packed& weights, int64_t row, float* out) {
    const uint8_t* panel = weights.data + static_cast<size_t>(row / kPanelRows) * panel_bytes(weights.kind, weights.cols);
    const int lane = static_cast<int>(row % kPanelRows);
    if (is_float(weights.kind)) {
        for (int64_t c = 0; c < weights.cols; ++c) out[c] = float_at(weights.kind, panel, c, lane);
        return;
    }
    int codes[kBlockCols];
    for (int64_t b = 0; b < weights.cols / kBlockCols; ++b, out += kBlockCols) {
        load_codes(weights.kind, panel + b * layout(weights.kind).code_bytes, lane, codes);
        const Scales scales = load_scales(weights.kind, panel + codes_bytes(weights.kind, weights.cols), b, lane);
        for (int c = 0; c < kBlockCols; ++c) {
            const float product = scales.scale[c / 16] * static_cast<float>(codes[c]);
            out[c] = has_min(weights.kind) ? product + scales.min[c / 16] : product;
        }
    }
}

extern const Kernels kPlainKernels;
const Kernels kPlainKernels = {Isa::plain, "plain", quantize_plain, matmul, matmul_float_plain, unpack_row_plain};

}  // namespace smolforge
