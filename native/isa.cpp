// Which kernel sets this build holds and this CPU runs, and the one in use.
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace smolforge {

extern const Kernels kPlainKernels, kAvx2Kernels, kAvxVnniKernels, kAvx512Kernels, kNeonKernels, kDotprodKernels, kI8mmKernels;

namespace {

#if defined(__x86_64__) || defined(_M_X64)
bool has_f16c() {  // compilers of 2022 do not know this name in __builtin_cpu_supports
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 29);
}

bool has_avx_vnni() {
#if defined(SMOLFORGE_EMULATE_AVXVNNI)
    return true;  // a build for tests whose avxvnni set does without the instruction
#else
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
#endif
}
#elif defined(__aarch64__)
enum ArmFeature { kDotprod, kI8mm };

bool has_arm_feature(ArmFeature feature) {
#if defined(__linux__)
    return feature == kDotprod ? (getauxval(AT_HWCAP) & 1u << 20) != 0     // HWCAP_ASIMDDP
                               : (getauxval(AT_HWCAP2) & 1u << 13) != 0;   // HWCAP2_I8MM
#elif defined(__APPLE__)
    int present = 0;
    size_t size = sizeof present;
    const char* name = feature == kDotprod ? "hw.optional.arm.FEAT_DotProd" : "hw.optional.arm.FEAT_I8MM";
    return sysctlbyname(name, &present, &size, nullptr, 0) == 0 && present;
#else
    return false;
#endif
}
#endif

struct Available {
    const Kernels* sets[8];
    int count = 0;
    Available() {
#if defined(__x86_64__) || defined(_M_X64)
        __builtin_cpu_init();
        const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
        const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
        if (avx2 && avx512) sets[count++] = &kAvx512Kernels;
        if (avx2 && has_avx_vnni()) sets[count++] = &kAvxVnniKernels;
        if (avx2) sets[count++] = &kAvx2Kernels;
#elif defined(__aarch64__)
        if (has_arm_feature(kI8mm)) sets[count++] = &kI8mmKernels;
        if (has_arm_feature(kDotprod)) sets[count++] = &kDotprodKernels;
        sets[count++] = &kNeonKernels;
#endif
        sets[count++] = &kPlainKernels;
    }
};

const Available& available() {
    static const Available found;
    return found;
}

const Kernels& chosen() {
    const char* wanted = std::getenv("SMOLFORGE_ISA");
    return wanted && *wanted ? kernels(wanted) : *available().sets[0];
}

}  // namespace

const Kernels* const* available_kernels(int* count) {
    *count = available().count;
    return available().sets;
}

const Kernels& kernels(const char* name) {
    std::string known;
    for (int i = 0; i < available().count; ++i) {
        if (std::string(name) == available().sets[i]->name) return *available().sets[i];
        known += std::string(i ? ", " : "") + available().sets[i]->name;
    }
    throw std::invalid_argument("SMOLFORGE_ISA: '" + std::string(name) + "' is no instruction set of this build and CPU; choose one of " +
                                known);
}

const Kernels& kernels() {
    static const Kernels& set = chosen();
    return set;
}

}  // namespace smolforge
