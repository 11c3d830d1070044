#include "ops.h"

#include "kernels.h"

namespace smolforge {

extern const Ops ops_plain;
#if defined(__x86_64__) || defined(_M_X64)
extern const Ops ops_avx2, ops_avx512;
#elif defined(__aarch64__)
extern const Ops ops_neon;
#endif

const Ops& ops() {
    switch (kernels().isa) {
#if defined(__x86_64__) || defined(_M_X64)
        case Isa::avx2:
        case Isa::avxvnni: return ops_avx2;
        case Isa::avx512vnni: return ops_avx512;
#elif defined(__aarch64__)
        case Isa::dotprod:
        case Isa::i8mm: return ops_neon;
#endif
        default: return ops_plain;
    }
}

}  // namespace smolforge
