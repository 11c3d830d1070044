// Plain functions that other sets use too, where an instruction set has nothing to add.
#pragma once

#include "kernels.h"

namespace smolforge {

void quantize_plain(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums);
void matmul_float_plain(const Packed& weights, const float* x, int rows, float* out, int64_t out_stride, int64_t panel_begin,
                        int64_t panel_end);
void unpack_row_plain(const Packed& weights, int64_t row, float* out);

}  // namespace smolforge
