// AVX2 with AVX-VNNI.
#include "matmul_avx2.h"

namespace smolforge {

extern const Kernels kAvxVnniKernels;
const Kernels kAvxVnniKernels = {Isa::avxvnni, "avxvnni", quantize_plain, matmul_quantized<Avx2<true>>, matmul_float<Avx2<true>>, unpack_row_plain};

}  // namespace smolforge
