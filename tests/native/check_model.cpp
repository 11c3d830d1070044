// A small model of random weights runs whole: two sequences are read together, then go on token by token, with two threads. Prints
// every logit exactly, one a line, for the test to compare between instruction sets and machines.
#include <cstdio>
#include <cstring>
#include <random>
#include <string>

#include "model.h"

using namespace smolforge;

namespace {

std::mt19937 generator(7);

float uniform() { return static_cast<float>(generator() % 20001) / 10000.0f - 1.0f; }

// Blocks as a GGUF file has them: half-float scales of about 0.01, minima of about -0.08, random codes.
std::vector<uint8_t> random_blocks(const GgufType& type, int64_t count) {
    std::vector<uint8_t> blocks(static_cast<size_t>(count * type.block_bytes));
    for (auto& byte : blocks) byte = static_cast<uint8_t>(generator());
    for (int64_t i = 0; i < count; ++i) {
        uint8_t* block = blocks.data() + i * type.block_bytes;
        const auto scale = static_cast<uint16_t>(0x2100 + generator() % 256), minimum = static_cast<uint16_t>(0xad00 + generator() % 256);
        if (std::string(type.name) == "F32") {
            const float value = 0.1f * uniform();
            std::memcpy(block, &value, sizeof value);
            continue;
        }
        std::memcpy(block, &scale, sizeof scale);
        if (std::string(type.name) == "Q4_1") std::memcpy(block + 2, &minimum, sizeof minimum);
    }
    return blocks;
}

Weight random_weight(const char* name, int64_t rows, int64_t cols) {
    const GgufType& type = gguf_type(name);
    const size_t bytes = packed_bytes(type.kind, rows, cols);
    std::shared_ptr<uint8_t> data = allocate_packed(bytes);
    const std::vector<uint8_t> blocks = random_blocks(type, rows * cols / type.block_cols);
    pack(type, blocks.data(), rows, cols, nullptr, data.get(), 0, panels(rows));
    return {{type.kind, rows, cols, data.get(), bytes}, data};
}

std::vector<float> random_gain(int size) {
    std::vector<float> gain(static_cast<size_t>(size));
    for (float& value : gain) value = 1.0f + 0.1f * uniform();
    return gain;
}

Shape shape() {
    Shape s{2, 6, 2, 64, 128, 352, 500, 1e-5f, {{{}, 1.1f}}, {0, -1}};  // the second layer has no positions
    for (int i = 0; i < s.head_dim / 2; ++i) s.rope_tables[0].inverse_frequencies.push_back(1.0f / static_cast<float>(1 << (i / 3)));
    return s;
}

Tensors tensors(const Shape& s) {
    Tensors all;
    all.packed["model.embed_tokens.weight"] = random_weight("Q8_0", s.vocab_size, s.d_model);
    all.vectors["model.norm.weight"] = random_gain(s.d_model);
    for (int i = 0; i < s.n_layers; ++i) {
        const std::string at = "model.layers." + std::to_string(i) + ".";
        all.packed[at + "self_attn.q_proj.weight"] = random_weight("Q4_0", s.query_size(), s.d_model);
        all.packed[at + "self_attn.k_proj.weight"] = random_weight("Q4_1", s.kv_size(), s.d_model);
        all.packed[at + "self_attn.v_proj.weight"] = random_weight("Q8_0", s.kv_size(), s.d_model);
        all.packed[at + "self_attn.o_proj.weight"] = random_weight("F32", s.d_model, s.query_size());
        all.packed[at + "mlp.gate_proj.weight"] = random_weight("Q4_0", s.d_ff, s.d_model);
        all.packed[at + "mlp.up_proj.weight"] = random_weight("Q4_1", s.d_ff, s.d_model);
        all.packed[at + "mlp.down_proj.weight"] = random_weight("Q4_0", s.d_model, s.d_ff);
        all.vectors[at + "input_layernorm.weight"] = random_gain(s.d_model);
        all.vectors[at + "post_attention_layernorm.weight"] = random_gain(s.d_model);
    }
    return all;
}

struct Run {
    Model& model;
    Pages pages;
    int32_t held[4] = {2, 0, 3, 1};  // of each sequence two

    Run(Model& of, KvKind kind) : model(of), pages(of.page_layout(kind), 4) {}

    // `counts` tokens of each sequence from `starts`, logits after the last of each.
    void step(std::vector<int32_t> starts, std::vector<int32_t> counts) {
        std::vector<int32_t> tokens;
        for (int32_t count : counts)
            for (int32_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(generator() % 500));
        const auto n = static_cast<int64_t>(tokens.size());
        const int32_t outputs[] = {counts[0] - 1, static_cast<int32_t>(n) - 1};
        std::vector<float> logits(2 * 500);
        model.forward(pages, {tokens.data(), starts.data(), counts.data(), held, outputs, n, 2, 2, 2}, false, logits.data(), nullptr);
        for (float value : logits) std::printf("%.9g\n", value);
    }
};

}  // namespace

int main() {
    const Shape s = shape();
    Model model(s, tensors(s), 2);
    for (KvKind kind : {KvKind::f16, KvKind::q8}) {
        Run run(model, kind);
        run.step({0, 0}, {70, 33});
        for (int32_t i = 0; i < 3; ++i) run.step({70 + i, 33 + i}, {1, 1});
    }
}
