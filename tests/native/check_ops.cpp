// Runs the small ops, the KV store and attention of every set that this processor has, and compares them with ops_reference.cpp:
// bit by bit, or, for a set without fused multiply-adds, where sums are involved, to 1e-5 of the largest number.
// Prints one line a set, "NAME same: N numbers" or "NAME near: N numbers", and ends with 1 at the first difference.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels.h"
#include "ops.h"

namespace smolforge {

extern const Ops ops_reference, ops_plain;
#if defined(__x86_64__)
extern const Ops ops_avx2, ops_avx512;
#elif defined(__aarch64__)
extern const Ops ops_neon;
#endif

namespace {

using Floats = std::vector<float>;

std::mt19937 generator(1);

// From ordinary numbers to subnormal halves and beyond the largest half.
Floats random_floats(size_t count, bool wide = false) {
    std::normal_distribution<float> normal;
    Floats values(count);
    for (auto& value : values) value = normal(generator) * (wide ? std::exp2(static_cast<float>(generator() % 40) - 24) : 1);
    return values;
}

class Check {
  public:
    Check(const Ops& set, bool fused) : set_(set), fused_(fused) {}

    void run() {
        for (int64_t n : {16, 48, 576}) elementwise(n);
        for (int half : {1, 8, 24, 32}) rotate(half);
        quantize();
        for (KvKind kind : {KvKind::f16, KvKind::bf16, KvKind::q8, KvKind::q4})
            for (int head_dim : {16, 48, 64, 96, 128}) attention(kind, head_dim);
        std::printf("%s %s: %lld numbers\n", set_.name, fused_ ? "same" : "near", static_cast<long long>(compared_));
        std::fflush(stdout);
    }

  private:
    // `sums`: the numbers come from multiply-adds.
    void compare(const char* what, const Floats& expected, const Floats& found, bool sums) {
        float largest = 0;
        for (float value : expected) largest = std::fmax(largest, std::fabs(value));
        for (size_t i = 0; i < expected.size(); ++i, ++compared_) {
            const bool both_none = std::isnan(expected[i]) && std::isnan(found[i]);
            const bool same = std::memcmp(&expected[i], &found[i], sizeof(float)) == 0;
            if (same || both_none || (sums && !fused_ && std::fabs(expected[i] - found[i]) <= 1e-5f * largest)) continue;
            std::printf("%s differs: %s, number %zu of %zu is %.9g, expected %.9g\n", set_.name, what, i, expected.size(), found[i], expected[i]);
            std::exit(1);
        }
    }

    template <class T>
    void same(const char* what, const std::vector<T>& expected, const std::vector<T>& found) {
        compared_ += static_cast<int64_t>(expected.size());
        if (expected == found) return;
        std::printf("%s differs: %s\n", set_.name, what);
        std::exit(1);
    }

    void elementwise(int64_t n) {
        const auto size = static_cast<size_t>(n);
        const Floats x = random_floats(size), y = random_floats(size);
        Floats results[2] = {Floats(size), Floats(size)};
        ops_reference.rms_norm(x.data(), y.data(), n, 1e-5f, results[0].data());
        set_.rms_norm(x.data(), y.data(), n, 1e-5f, results[1].data());
        compare("rms_norm", results[0], results[1], true);
        results[0] = results[1] = x;
        ops_reference.add(results[0].data(), y.data(), n - 5);
        set_.add(results[1].data(), y.data(), n - 5);
        compare("add", results[0], results[1], false);
        for (size_t i = 0; i < size; ++i) results[0][i] = results[1][i] = x[i] * 40;  // past where e^x ends on both sides
        ops_reference.swiglu(results[0].data(), y.data(), n);
        set_.swiglu(results[1].data(), y.data(), n);
        compare("swiglu", results[0], results[1], true);
    }

    void rotate(int half) {
        const auto size = static_cast<size_t>(2 * half);
        const Floats x = random_floats(size), turns = random_floats(size);
        for (const float* angle : {turns.data(), static_cast<const float*>(nullptr)}) {
            Floats expected(size), found(size);
            ops_reference.rotate(x.data(), angle, half, 0.125f, expected.data());
            set_.rotate(x.data(), angle, half, 0.125f, found.data());
            compare("rotate", expected, found, false);
        }
    }

    // Blocks of zeros, of numbers too small or too large to have an inverse, and with something in them that is no number.
    void quantize() {
        constexpr size_t kBlocks = 8;
        Floats x = random_floats(kBlocks * 32, true);
        for (size_t i = 0; i < 32; ++i) x[i] = 0, x[32 + i] *= 1e-38f, x[64 + i] = 1e-33f, x[96 + i] *= 1e33f;
        x[4 * 32 + 7] = x[5 * 32 + 30] = std::numeric_limits<float>::quiet_NaN();
        x[6 * 32 + 3] = -std::numeric_limits<float>::infinity();
        struct {
            std::vector<int8_t> codes = std::vector<int8_t>(kBlocks * 32);
            Floats scales = Floats(kBlocks);
            std::vector<int32_t> sums = std::vector<int32_t>(kBlocks);
        } expected, found;
        ops_reference.quantize(x.data(), kBlocks * 32, expected.codes.data(), expected.scales.data(), expected.sums.data());
        for (auto* quantize : {set_.quantize, kernels().quantize}) {
            quantize(x.data(), kBlocks * 32, found.codes.data(), found.scales.data(), found.sums.data());
            same("quantize, codes", expected.codes, found.codes);
            compare("quantize, scales", expected.scales, found.scales, false);
            same("quantize, sums", expected.sums, found.sums);
        }
    }

    // Two pages and a half of one head, written by both; then queries that see parts of them, in partitions of one page and two.
    void attention(KvKind kind, int head_dim) {
        const PageLayout layout(kind, 1, 1, head_dim);
        constexpr int kTokens = 160;
        const auto dim = static_cast<size_t>(layout.dim), words = layout.head_bytes / sizeof(float);
        std::vector<Floats> pages[2];
        for (auto& held : pages) held.assign(3, Floats(words));
        for (int token = 0; token < kTokens; ++token) {
            const Floats key = random_floats(dim, token % 7 == 0), value = random_floats(dim, token % 5 == 0);
            for (int i = 0; i < 2; ++i) {
                auto* head = reinterpret_cast<uint8_t*>(pages[i][static_cast<size_t>(token / kPageTokens)].data());
                (i ? set_ : ops_reference).store(layout, head, token % kPageTokens, key.data(), value.data());
            }
        }
        for (size_t page = 0; page < 3; ++page) {
            std::vector<uint8_t> bytes[2];
            for (int i = 0; i < 2; ++i) {
                const auto* head = reinterpret_cast<const uint8_t*>(pages[i][page].data());
                bytes[i].assign(head, head + layout.head_bytes);
            }
            same("store", bytes[0], bytes[1]);
        }
        for (int rows : {1, 2, 3, 5, 7, 13, 48}) attend(layout, pages[0], rows, kTokens);
    }

    void attend(const PageLayout& layout, const std::vector<Floats>& pages, int rows, int tokens) {
        const auto dim = static_cast<size_t>(layout.dim), count = static_cast<size_t>(rows), blocks = dim / 32;
        Floats values = random_floats(count * dim), scales(count * blocks);
        for (auto& value : values) value /= std::sqrt(static_cast<float>(dim));
        std::vector<int8_t> codes(count * dim);
        std::vector<int32_t> sums(count * blocks), last(count);
        ops_reference.quantize(values.data(), static_cast<int64_t>(count * dim), codes.data(), scales.data(), sums.data());
        for (int r = 0; r < rows; ++r) last[static_cast<size_t>(r)] = tokens - rows + r;
        const Queries q{rows, layout.dim, values.data(), codes.data(), scales.data(), sums.data(), last.data()};
        const uint8_t* heads[3];
        for (size_t i = 0; i < 3; ++i) heads[i] = reinterpret_cast<const uint8_t*>(pages[i].data());
        Floats results[2];
        for (int i = 0; i < 2; ++i) {
            const Ops& ops = i ? set_ : ops_reference;
            results[i].resize(count * (dim + 2));
            Floats later(count * (dim + 2));
            const Mixed total = mixed(results[i], count), part = mixed(later, count);
            ops.attend(layout, heads, 1, 0, q, total);
            ops.attend(layout, heads + 1, 2, kPageTokens, q, part);
            ops.merge(total, part, rows, layout.dim);
        }
        compare("attend", results[0], results[1], true);
    }

    static Mixed mixed(Floats& memory, size_t rows) { return {memory.data(), memory.data() + rows, memory.data() + 2 * rows}; }

    const Ops& set_;
    const bool fused_;
    int64_t compared_ = 0;
};

bool has(const char* name) {
    int count;
    const Kernels* const* sets = available_kernels(&count);
    for (int i = 0; i < count; ++i)
        if (std::strcmp(sets[i]->name, name) == 0) return true;
    return false;
}

}  // namespace
}  // namespace smolforge

int main() {
    using namespace smolforge;
#if defined(__x86_64__)
    Check(ops_plain, false).run();
    if (has("avx2")) Check(ops_avx2, true).run();
    if (has("avx512vnni")) Check(ops_avx512, true).run();
#elif defined(__aarch64__)
    Check(ops_plain, true).run();  // fused multiply-adds are in every aarch64
    if (has("dotprod")) Check(ops_neon, true).run();
#endif
}
