// A decoder of the Llama family, ready to run: its shape, its weights, and one call for a forward pass over many sequences.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "kv.h"
#include "pool.h"
#include "weight.h"

namespace smolforge {

struct RopeTable {
    std::vector<float> inverse_frequencies;  // [head_dim / 2] radians per position
    float scale;                             // on cos and sin (YaRN)
};

struct Shape {
    int n_layers, n_heads, n_kv_heads, head_dim, d_model, d_ff, vocab_size;
    float norm_eps;
    std::vector<RopeTable> rope_tables;
    std::vector<int> layer_rope;  // table of each layer, -1: no positions

    int query_size() const { return n_heads * head_dim; }
    int kv_size() const { return n_kv_heads * head_dim; }
    int group() const { return n_heads / n_kv_heads; }  // query heads that share a key head
    void check() const;                                 // std::invalid_argument names the first field that is wrong
};

struct Tensors {  // by Hugging Face name
    std::map<std::string, Weight> packed;
    std::map<std::string, std::vector<float>> vectors;
};

struct Batch {  // the arrays of one pass; see _native.pyi
    const int32_t *tokens, *starts, *counts, *pages, *outputs;
    int64_t n, sequences, pages_each, m;
};

struct Layer {
    std::vector<float> attention_norm, mlp_norm;
    Weight q, k, v, o, gate, up, down;
    int rope;
};

struct Activations {  // rows of floats, and the same as int8 per 32 columns
    int64_t cols = 0;
    Buffer<float> values, scales;
    Buffer<int8_t> codes;
    Buffer<int32_t> sums;

    void reserve(int64_t rows, int64_t cols);
    void quantize(int64_t row, int64_t from, int64_t count, const float* x);  // x as columns [from, from + count) of one row
};

struct Scratch {  // of one thread
    Activations normed, queries;
    Buffer<float> product, up, total, part, key, value;
    Buffer<int32_t> last;
    std::vector<const uint8_t*> heads;
};

struct Workspace {  // of one model, kept between passes
    Buffer<float> x, qkv, turns, partials;
    Activations normed, mixed, hidden;  // after a norm, after attention, after SwiGLU
    std::vector<Scratch> threads;
    Phases phases;
};

class Model {
  public:
    // Takes the tensors it knows; std::invalid_argument for one that is missing, left over, or of the wrong shape.
    Model(Shape shape, Tensors tensors, int threads);

    const Shape& shape() const { return shape_; }
    int threads() const { return threads_; }
    PageLayout page_layout(KvKind kind) const { return {kind, shape_.n_layers, shape_.n_kv_heads, shape_.head_dim}; }

    // Writes [m, vocab_size] logits, or with `hidden` [m, d_model] final-normed states, to `out`; into `trace`, unless null, the
    // residual stream [n_layers + 1, n, d_model]. Checks every index first: std::invalid_argument, and nothing was changed.
    void forward(Pages& kv, const Batch& batch, bool hidden, float* out, float* trace);

  private:
    friend class Pass;
    void check(const Pages& kv, const Batch& batch) const;

    Shape shape_;
    int threads_;
    Weight embedding_, head_;
    std::vector<float> final_norm_;
    std::vector<Layer> layers_;
    Workspace work_;
    std::mutex turn_;  // one pass at a time
};

}  // namespace smolforge
