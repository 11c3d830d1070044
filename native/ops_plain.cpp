#define SMOLFORGE_SET ops_plain
#define SMOLFORGE_NAME "plain"
#include "ops.inc"
