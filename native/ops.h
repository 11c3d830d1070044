// What a forward pass does besides weight products, as a table each instruction set fills (ops_*.cpp from ops.inc).
//
// Promise, as in kernels.h: the operations behind one number do not depend on how many rows, pages or threads there are.
#pragma once

#include "kv.h"

namespace smolforge {

constexpr int kPartitionPages = 8;  // attention adds up keys in partitions of 512, counted from position 0, merged in order
constexpr int kTileRows = 48;       // queries that share one reading of the keys

struct Queries {            // of one KV head: rows in the order of their positions
    int rows, dim;          // dim: padded head size
    const float* values;    // [rows, dim], rotated and times 1 / sqrt(head_dim)
    const int8_t* codes;    // the same as int8 per 32 dims, for KV kinds q8 and q4
    const float* scales;    // [rows, dim / 32]
    const int32_t* sums;    // [rows, dim / 32], of the codes
    const int32_t* last;    // [rows] the last position each row sees, not decreasing
};

struct Mixed {         // softmax-weighted values, unfinished: output = values / sum
    float* max;        // [rows] largest score
    float* sum;        // [rows] of exp(score - max)
    float* values;     // [rows, dim]
};

struct Ops {
    const char* name;
    // As Kernels::quantize, to the bit.
    void (*quantize)(const float* x, int64_t cols, int8_t* codes, float* scales, int32_t* sums);
    // out = x / sqrt(mean(x^2) + eps) * gain; n a multiple of 16.
    void (*rms_norm)(const float* x, const float* gain, int64_t n, float eps, float* out);
    // x += y
    void (*add)(float* x, const float* y, int64_t n);
    // gate = silu(gate) * up; n a multiple of 16.
    void (*swiglu)(float* gate, const float* up, int64_t n);
    // Turns pairs (i, i + half) of x by an angle; `turns`: [cos half][sin half]. Null turns: a copy. Times `scale`.
    void (*rotate)(const float* x, const float* turns, int half, float scale, float* out);
    // Writes one token's key and value (dim floats each) into slot 0..63 of a head's part of a page.
    void (*store)(const PageLayout& layout, uint8_t* head, int slot, const float* key, const float* value);
    // Attends to the keys of one partition: `heads` are the parts of one head in its pages, from position `begin` on.
    // Every row must see position `begin`; `pages` covers the last row.
    void (*attend)(const PageLayout& layout, const uint8_t* const* heads, int pages, int64_t begin, const Queries& q, const Mixed& out);
    // Adds a later partition's result to that of the earlier ones, `rows` rows.
    void (*merge)(const Mixed& total, const Mixed& part, int rows, int dim);
};

const Ops& ops();  // of the set kernels() chose

}  // namespace smolforge
