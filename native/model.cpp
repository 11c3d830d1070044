#include "model.h"

#include <algorithm>
#include <stdexcept>

#include "kernels.h"

namespace smolforge {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

void require(bool condition, const char* name, int64_t value, const char* expected) {
    if (!condition) refuse(std::string("shape: ") + name + " " + std::to_string(value) + " is not " + expected);
}

Weight take_matrix(Tensors& tensors, const std::string& name, int64_t rows, int64_t cols) {
    auto found = tensors.packed.find(name);
    if (found == tensors.packed.end()) refuse("tensor '" + name + "' is missing (as a packed matrix)");
    const Packed& packed = found->second.packed;
    if (packed.rows != rows || packed.cols != cols)
        refuse("tensor '" + name + "' is " + std::to_string(packed.rows) + " x " + std::to_string(packed.cols) + ", expected " +
               std::to_string(rows) + " x " + std::to_string(cols));
    Weight weight = std::move(found->second);
    tensors.packed.erase(found);
    return weight;
}

std::vector<float> take_vector(Tensors& tensors, const std::string& name, int64_t size) {
    auto found = tensors.vectors.find(name);
    if (found == tensors.vectors.end()) refuse("tensor '" + name + "' is missing (as a float32 vector)");
    if (static_cast<int64_t>(found->second.size()) != size)
        refuse("tensor '" + name + "' has " + std::to_string(found->second.size()) + " values, expected " + std::to_string(size));
    std::vector<float> values = std::move(found->second);
    tensors.vectors.erase(found);
    return values;
}

Layer take_layer(Tensors& tensors, const Shape& shape, int index) {
    const std::string at = "model.layers." + std::to_string(index) + ".";
    const int d = shape.d_model, q = shape.query_size(), kv = shape.kv_size(), f = shape.d_ff;
    Layer layer;
    layer.attention_norm = take_vector(tensors, at + "input_layernorm.weight", d);
    layer.q = take_matrix(tensors, at + "self_attn.q_proj.weight", q, d);
    layer.k = take_matrix(tensors, at + "self_attn.k_proj.weight", kv, d);
    layer.v = take_matrix(tensors, at + "self_attn.v_proj.weight", kv, d);
    layer.o = take_matrix(tensors, at + "self_attn.o_proj.weight", d, q);
    layer.mlp_norm = take_vector(tensors, at + "post_attention_layernorm.weight", d);
    layer.gate = take_matrix(tensors, at + "mlp.gate_proj.weight", f, d);
    layer.up = take_matrix(tensors, at + "mlp.up_proj.weight", f, d);
    layer.down = take_matrix(tensors, at + "mlp.down_proj.weight", d, f);
    layer.rope = shape.layer_rope[static_cast<size_t>(index)];
    return layer;
}

}  // namespace

void Shape::check() const {
    constexpr int kMost = 1 << 24;  // of any size: products of three stay far below 2^63
    const std::pair<const char*, int> sizes[] = {{"n_layers", n_layers},   {"n_heads", n_heads}, {"n_kv_heads", n_kv_heads},
                                                 {"head_dim", head_dim},   {"d_model", d_model}, {"d_ff", d_ff},
                                                 {"vocab_size", vocab_size}};
    for (const auto& [name, value] : sizes) require(value > 0 && value <= kMost, name, value, "between 1 and 2^24");
    require(n_layers <= 1024, "n_layers", n_layers, "at most 1024");
    require(n_heads <= 1024 && n_heads % n_kv_heads == 0, "n_heads", n_heads, "a multiple of n_kv_heads, at most 1024");
    require(head_dim % 2 == 0 && head_dim <= 1024, "head_dim", head_dim, "even and at most 1024");
    require(d_model % kBlockCols == 0, "d_model", d_model, "a multiple of 32");
    require(query_size() % kBlockCols == 0, "n_heads * head_dim", query_size(), "a multiple of 32");
    require(d_ff % kBlockCols == 0, "d_ff", d_ff, "a multiple of 32");
    if (!(norm_eps > 0)) refuse("shape: norm_eps is not a positive number");
    require(static_cast<int>(layer_rope.size()) == n_layers, "layer_rope", static_cast<int64_t>(layer_rope.size()),
            "one entry a layer");
    for (int table : layer_rope)
        require(table >= -1 && table < static_cast<int>(rope_tables.size()), "layer_rope", table, "a table, or -1 for none");
    for (const RopeTable& table : rope_tables)
        require(static_cast<int>(table.inverse_frequencies.size()) == head_dim / 2, "rope_tables",
                static_cast<int64_t>(table.inverse_frequencies.size()), "head_dim / 2 frequencies");
}

Model::Model(Shape shape, Tensors tensors, int threads) : shape_(std::move(shape)), threads_(threads) {
    shape_.check();
    kernels();  // a set that cannot be is refused here, and not by a thread of a pass
    if (threads < 0 || threads > 512) refuse("threads: " + std::to_string(threads) + " is not between 0 (as many as cores) and 512");
    if (threads == 0) threads_ = default_threads();
    embedding_ = take_matrix(tensors, "model.embed_tokens.weight", shape_.vocab_size, shape_.d_model);
    head_ = tensors.packed.count("lm_head.weight") ? take_matrix(tensors, "lm_head.weight", shape_.vocab_size, shape_.d_model)
                                                   : embedding_;
    final_norm_ = take_vector(tensors, "model.norm.weight", shape_.d_model);
    for (int i = 0; i < shape_.n_layers; ++i) layers_.push_back(take_layer(tensors, shape_, i));
    if (!tensors.packed.empty()) refuse("tensor '" + tensors.packed.begin()->first + "' has no place in this architecture");
    if (!tensors.vectors.empty()) refuse("tensor '" + tensors.vectors.begin()->first + "' has no place in this architecture");
}

void Model::check(const Pages& kv, const Batch& b) const {
    if (kv.layout().layers != shape_.n_layers || kv.layout().kv_heads != shape_.n_kv_heads || kv.layout().head_dim != shape_.head_dim)
        refuse("kv: these pages were made for a model of another shape");
    if (b.n < 1 || b.n > 1 << 20) refuse("tokens: " + std::to_string(b.n) + " is not between 1 and 2^20");
    if (b.m > 1 << 20) refuse("outputs: " + std::to_string(b.m) + " are more than 2^20");
    for (int64_t i = 0; i < b.n; ++i)
        if (b.tokens[i] < 0 || b.tokens[i] >= shape_.vocab_size)
            refuse("tokens[" + std::to_string(i) + "] = " + std::to_string(b.tokens[i]) + " is not in 0.." +
                   std::to_string(shape_.vocab_size - 1));
    for (int64_t i = 0; i < b.m; ++i)
        if (b.outputs[i] < 0 || b.outputs[i] >= b.n)
            refuse("outputs[" + std::to_string(i) + "] = " + std::to_string(b.outputs[i]) + " is not in 0.." + std::to_string(b.n - 1));
    int64_t total = 0;
    std::vector<int32_t> written, read;
    for (int64_t s = 0; s < b.sequences; ++s) {
        const int64_t start = b.starts[s], count = b.counts[s], end = start + count;
        const std::string at = "sequence " + std::to_string(s);
        if (start < 0 || start >= 1 << 24) refuse(at + ": start " + std::to_string(start) + " is not in 0..2^24 - 1");
        if (count < 1 || count > b.n) refuse(at + ": count " + std::to_string(count) + " is not in 1.." + std::to_string(b.n));
        if (end > b.pages_each * kPageTokens)
            refuse(at + ": position " + std::to_string(end - 1) + " lies behind its " + std::to_string(b.pages_each) + " pages of " +
                   std::to_string(kPageTokens) + " tokens");
        total += count;
        for (int64_t p = 0; p * kPageTokens < end; ++p) {
            const int32_t page = b.pages[s * b.pages_each + p];
            kv.check(page);
            ((p + 1) * kPageTokens > start ? written : read).push_back(page);
        }
    }
    if (total != b.n) refuse("counts add up to " + std::to_string(total) + ", but there are " + std::to_string(b.n) + " tokens");
    std::sort(written.begin(), written.end());
    const auto twice = std::adjacent_find(written.begin(), written.end());
    if (twice != written.end()) refuse("page " + std::to_string(*twice) + " would be written by two sequences");
    for (int32_t page : read)
        if (std::binary_search(written.begin(), written.end(), page))
            refuse("page " + std::to_string(page) + " would be written by one sequence while another reads it");
}

}  // namespace smolforge
