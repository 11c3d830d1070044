// The small ops and attention without any instruction set's own instructions, each multiply-add rounded once: what every set
// that has such an instruction gives to the bit.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#undef __aarch64__
#define SMOLFORGE_REFERENCE
#define SMOLFORGE_SET ops_reference
#define SMOLFORGE_NAME "reference"
#include "ops.inc"
