#define SMOLFORGE_SET ops_avx512
#define SMOLFORGE_NAME "avx512"
#include "ops.inc"
