#define SMOLFORGE_SET ops_neon
#define SMOLFORGE_NAME "neon"
#include "ops.inc"
