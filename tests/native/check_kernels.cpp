// Runs every kernel set of this build that this processor has, and compares its products with the plain set's, bit by bit:
// all packed kinds, 1 to 33 activation rows, panels split at every place, rows that do not fill the last panel.
// Prints one line a set, "NAME same: N products", and ends with 1 at the first difference.
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels.h"

using namespace smolforge;

namespace {

constexpr int kMostRows = 33;
constexpr int64_t kWeightRows = 37, kCols = 512, kStride = kWeightRows + 3;  // three panels, and columns out of bounds to watch

struct alignas(64) Line {
    uint8_t bytes[64];
};

std::vector<uint8_t> random_blocks(const GgufType& type, std::mt19937& random) {
    std::vector<uint8_t> blocks(static_cast<size_t>(kWeightRows * kCols / type.block_cols * type.block_bytes));
    for (auto& byte : blocks) byte = static_cast<uint8_t>(random());
    for (size_t i = 0; i < blocks.size(); ++i) {  // exponents far from infinity, wherever a half or a float may lie
        if (is_float(type.kind) ? i % static_cast<size_t>(type.block_bytes) == static_cast<size_t>(type.block_bytes) - 1 : true) blocks[i] &= 0x3b;
    }
    return blocks;
}

struct Activations {
    std::vector<float> values, scales;
    std::vector<int8_t> codes;
    std::vector<int32_t> sums;
};

Activations make_activations(const Kernels& set, std::mt19937& random) {
    std::normal_distribution<float> normal;
    const size_t blocks = kMostRows * kCols / kBlockCols;
    Activations x{std::vector<float>(kMostRows * kCols), std::vector<float>(blocks), std::vector<int8_t>(kMostRows * kCols),
                  std::vector<int32_t>(blocks)};
    for (auto& value : x.values) value = normal(random);
    for (int64_t r = 0; r < kMostRows; ++r) {
        set.quantize(&x.values[static_cast<size_t>(r * kCols)], kCols, &x.codes[static_cast<size_t>(r * kCols)],
                     &x.scales[static_cast<size_t>(r * kCols / kBlockCols)], &x.sums[static_cast<size_t>(r * kCols / kBlockCols)]);
    }
    return x;
}

std::vector<float> product(const Kernels& set, const Packed& w, const Activations& x, int rows, int64_t split) {
    std::vector<float> out(kMostRows * kStride, 7.0f);
    const QuantizedRows q{rows, kCols, x.codes.data(), x.scales.data(), x.sums.data()};
    const int64_t bounds[] = {0, split, panels(kWeightRows)};
    for (int part = 0; part < 2; ++part) {
        if (is_float(w.kind)) {
            set.matmul_float(w, x.values.data(), rows, out.data(), kStride, bounds[part], bounds[part + 1]);
        } else {
            set.matmul(w, q, out.data(), kStride, bounds[part], bounds[part + 1]);
        }
    }
    return out;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0; }

int check(const Kernels& set, const char* type_name) {
    std::mt19937 random(1);
    const GgufType& type = gguf_type(type_name);
    const std::vector<uint8_t> blocks = random_blocks(type, random);
    const size_t bytes = packed_bytes(type.kind, kWeightRows, kCols);
    std::vector<Line> memory(bytes / sizeof(Line));
    auto* data = reinterpret_cast<uint8_t*>(memory.data());
    pack(type, blocks.data(), kWeightRows, kCols, nullptr, data, 0, panels(kWeightRows));
    const Packed w{type.kind, kWeightRows, kCols, data, bytes};
    const Activations x = make_activations(set, random);
    int products = 0;
    for (int rows = 1; rows <= kMostRows; ++rows) {
        const std::vector<float> expected = product(kernels("plain"), w, x, rows, 0);
        for (int64_t split = 0; split <= panels(kWeightRows); ++split, ++products) {
            if (same(product(set, w, x, rows, split), expected)) continue;
            std::printf("%s differs from plain: %s, %d rows, split at panel %d\n", set.name, type_name, rows, static_cast<int>(split));
            return -1;
        }
    }
    return products;
}

}  // namespace

int main() {
    const char* const types[] = {"F32",  "F16",  "BF16", "Q4_0", "Q4_1", "Q5_0",   "Q5_1",  "Q8_0",
                                 "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"};
    int count;
    const Kernels* const* sets = available_kernels(&count);
    for (int i = 0; i < count; ++i) {
        int products = 0;
        for (const char* type : types) {
            const int checked = check(*sets[i], type);
            if (checked < 0) return 1;
            products += checked;
        }
        std::printf("%s same: %d products\n", sets[i]->name, products);
        std::fflush(stdout);
    }
}
