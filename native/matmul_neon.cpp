// aarch64 as every such processor has it (Armv8.0: Raspberry Pi 3, 4 and Zero 2, older phones).
#include "matmul_neon.h"

namespace smolforge {

extern const Kernels kNeonKernels;
const Kernels kNeonKernels = {Isa::neon, "neon", quantize_plain, matmul_quantized<Neon>, matmul_float<Neon>, unpack_row_plain};

}  // namespace smolforge
