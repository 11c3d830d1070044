// aarch64 with int8 dot products (Armv8.2 and later: Raspberry Pi 5, every Apple M, Graviton 2).
#include "matmul_neon.h"

namespace smolforge {

extern const Kernels kDotprodKernels;
const Kernels kDotprodKernels = {Isa::dotprod, "dotprod", quantize_plain, matmul_quantized<Neon>, matmul_float<Neon>, unpack_row_plain};

}  // namespace smolforge
