#define SMOLFORGE_SET ops_avx2
#define SMOLFORGE_NAME "avx2"
#include "ops.inc"
