// The table of matrix kernels each instruction set fills. One set is chosen at start (isa.cpp) and never changes.
//
// Promise of every set: the floating-point operations behind one output number are the same, in the same order, whatever the number
// of rows, threads or panels in the call. The sets agree with each other to the bit too, since the sums of codes are integers and
// the few float operations per block (written in matmul_plain.cpp) are the same everywhere.
//
// Build (GCC, Clang, on Windows clang-cl, which takes the same -m flags; Microsoft's own compiler is refused): every file with
// -ffp-contract=off; those of an instruction set (and only those) with its flags:
//   matmul_plain.cpp, pack.cpp, isa.cpp, scratch.cpp: none              all machines
//   (gcc 12 warns -Wmaybe-uninitialized inside its own AVX-512 headers; -Wno-maybe-uninitialized there)
//   matmul_avx2.cpp      -mavx2 -mfma -mf16c               x86-64
//   matmul_avxvnni.cpp   -mavx2 -mfma -mf16c -mavxvnni     x86-64
//   matmul_avx512.cpp    -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c
//   matmul_neon.cpp      -march=armv8-a                    aarch64
//   matmul_dotprod.cpp   -march=armv8.2-a+dotprod+fp16     aarch64
//   matmul_i8mm.cpp      -march=armv8.2-a+dotprod+fp16+i8mm  aarch64
#pragma once

#include "packed.h"

namespace smolforge {

enum class Isa : uint8_t { plain, avx2, avxvnni, avx512vnni, neon, dotprod, i8mm };

struct QuantizedRows {  // activations of one matmul: int8 codes with one scale per 32 columns
    int rows;
    int64_t cols;
    const int8_t* codes;   // [rows, cols], -127..127
    const float* scales;   // [rows, cols / 32]
    const int32_t* sums;   // [rows, cols / 32], of the codes
};

struct Kernels {
    Isa isa;
    const char* name;

    // One row of activations: scale = max |x| / 127 per 32 columns, codes rounded to nearest even.
    void (*quantize)(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums);

    // out[r * out_stride + n] = activation row r . weight row n, for weight rows n of panels [panel_begin, panel_end).
    // Kinds q4 .. q8hm.
    void (*matmul)(const Packed& weights, const QuantizedRows& x, float* out, int64_t out_stride, int64_t panel_begin,
                   int64_t panel_end);

    // The same with float activations [rows, cols]. Kinds f16, bf16, f32.
    void (*matmul_float)(const Packed& weights, const float* x, int rows, float* out, int64_t out_stride, int64_t panel_begin,
                         int64_t panel_end);

    // One dequantized row: `cols` floats. Every kind.
    void (*unpack_row)(const Packed& weights, int64_t row, float* out);
};

// The set in use: SMOLFORGE_ISA, else the best this CPU runs. Throws std::invalid_argument when SMOLFORGE_ISA names no set of this
// build, or one this CPU does not run. Decided at the first call.
const Kernels& kernels();

// Sets of this build that this CPU runs, best first; `plain` is always the last. `count` receives how many.
const Kernels* const* available_kernels(int* count);

// The available set of that name ("plain", "avx2", "avxvnni", "avx512vnni", "neon", "dotprod", "i8mm"); throws std::invalid_argument.
const Kernels& kernels(const char* name);

}  // namespace smolforge
