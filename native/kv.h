// The KV memory of one model: fixed-size pages of 64 tokens, each with the keys and values of all layers.
//
//   page   | layer 0: head 0, head 1, ... | layer 1: ... | ...        a head:  | keys | values |  of 64 tokens
//
// `dim` is head_dim rounded up to 32 (zeros fill it). Keys lie in groups of 16 tokens, transposed, so that 16 scores grow side by
// side and no sum crosses lanes; values lie token after token, since a value row is added to the output as a whole.
//
//   f16, bf16   keys [4 groups][dim][16 tokens]               values [64][dim]
//   q8          keys [4 groups][dim / 4][16 tokens][4] int8,   scale f32 [64]            (one a token and head)
//               values [64][dim] int8,                         scale f32 [64]
//   q4          keys [4 groups][dim / 32][4][16 tokens][4]     scale f32 [dim / 32][64]  (one a token and 32 dims)
//               low half of vector j: dims 4 j ..., high half: 16 + 4 j ...; value = scale * (code - 8)
//               values [64][dim / 32][16] low half: dims 0..15, high half: 16..31, scale f32 [dim / 32][64]
#pragma once

#include <cstddef>
#include <cstdint>

namespace smolforge {

enum class KvKind : uint8_t { f16, bf16, q8, q4 };

constexpr int kPageTokens = 64;
constexpr int kGroupTokens = 16;

KvKind kv_kind_of(const char* name);  // throws std::invalid_argument naming the kinds there are
const char* kv_name(KvKind kind);

struct PageLayout {
    KvKind kind;
    int layers, kv_heads, head_dim, dim;
    size_t code_bytes;   // of the keys (or the values) of one head
    size_t scale_bytes;  // of the same
    size_t head_bytes;   // keys and values, rounded up to 64 bytes
    size_t page_bytes;

    PageLayout(KvKind kind, int layers, int kv_heads, int head_dim);
    size_t offset(int layer, int head) const {
        return (static_cast<size_t>(layer) * static_cast<size_t>(kv_heads) + static_cast<size_t>(head)) * head_bytes;
    }
};

class Pages {
  public:
    Pages(const PageLayout& layout, int64_t count);  // std::invalid_argument for a size that cannot be addressed
    ~Pages();
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    const PageLayout& layout() const { return layout_; }
    int64_t count() const { return count_; }
    uint8_t* page(int64_t index) const { return data_ + static_cast<size_t>(index) * layout_.page_bytes; }
    void copy(int64_t source, int64_t target) const;
    void release(int64_t index) const;  // its memory goes back to the system; it reads as zeros
    void check(int64_t index) const;  // std::invalid_argument unless 0 <= index < count

  private:
    PageLayout layout_;
    int64_t count_;
    uint8_t* data_;
};

}  // namespace smolforge
