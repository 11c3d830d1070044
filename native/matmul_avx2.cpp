// AVX2 with FMA and F16C.
#include "matmul_avx2.h"

namespace smolforge {

extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels = {Isa::avx2, "avx2", quantize_plain, matmul_quantized<Avx2<false>>, matmul_float<Avx2<false>>, unpack_row_plain};

}  // namespace smolforge
