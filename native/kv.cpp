#include "kv.h"

#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "machine.h"

namespace smolforge {
namespace {

constexpr const char* kNames[] = {"f16", "bf16", "q8", "q4"};

size_t code_bytes_of(KvKind kind, size_t dim) {
    const size_t values = kPageTokens * dim;
    return kind == KvKind::q4 ? values / 2 : kind == KvKind::q8 ? values : values * 2;
}

size_t scale_bytes_of(KvKind kind, size_t dim) {
    if (kind == KvKind::q8) return kPageTokens * sizeof(float);
    return kind == KvKind::q4 ? kPageTokens * sizeof(float) * dim / 32 : 0;
}

}  // namespace

KvKind kv_kind_of(const char* name) {
    for (int i = 0; i < 4; ++i)
        if (std::string(name) == kNames[i]) return static_cast<KvKind>(i);
    throw std::invalid_argument(std::string("KV kind '") + name + "' is not one of f16, bf16, q8, q4");
}

const char* kv_name(KvKind kind) { return kNames[static_cast<int>(kind)]; }

PageLayout::PageLayout(KvKind kind_, int layers_, int kv_heads_, int head_dim_)
    : kind(kind_), layers(layers_), kv_heads(kv_heads_), head_dim(head_dim_), dim((head_dim_ + 31) / 32 * 32) {
    code_bytes = code_bytes_of(kind, static_cast<size_t>(dim));
    scale_bytes = scale_bytes_of(kind, static_cast<size_t>(dim));
    head_bytes = 2 * ((code_bytes + scale_bytes + 63) / 64 * 64);
    page_bytes = head_bytes * static_cast<size_t>(layers) * static_cast<size_t>(kv_heads);
}

Pages::Pages(const PageLayout& layout, int64_t count) : layout_(layout), count_(count), data_(nullptr) {
    if (count < 1) throw std::invalid_argument("pages: " + std::to_string(count) + " is not a positive number of pages");
    const size_t most = static_cast<size_t>(std::numeric_limits<int64_t>::max()) / layout.page_bytes;
    if (static_cast<size_t>(count) > most) throw std::invalid_argument("pages: " + std::to_string(count) + " pages cannot be addressed");
    data_ = reserve(static_cast<size_t>(count) * layout.page_bytes);
    if (layout.page_bytes >= kHugePage / 4) prefer_huge_pages(data_, static_cast<size_t>(count) * layout.page_bytes);
}

Pages::~Pages() { unreserve(data_, static_cast<size_t>(count_) * layout_.page_bytes); }

void Pages::copy(int64_t source, int64_t target) const {
    check(source);
    check(target);
    std::memmove(page(target), page(source), layout_.page_bytes);
}

void Pages::release(int64_t index) const {
    check(index);
    discard(page(index), layout_.page_bytes);
}

void Pages::check(int64_t index) const {
    if (index < 0 || index >= count_)
        throw std::invalid_argument("page " + std::to_string(index) + " is not in 0.." + std::to_string(count_ - 1));
}

}  // namespace smolforge
