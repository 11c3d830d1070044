#include "weight.h"

#include <algorithm>
#include <mutex>

#include "machine.h"

namespace smolforge {
namespace {

#ifdef SMOLFORGE_SANITIZE
constexpr size_t kArena = 0;  // every matrix alone, with its end watched
#else
constexpr size_t kArena = size_t{64} << 20;
#endif

struct Arena {  // memory handed out from the front, returned as a whole
    explicit Arena(size_t bytes) : mapped(bytes + kHugePage), memory(reserve(mapped)) {
        const auto start = reinterpret_cast<uintptr_t>(memory);
        data = memory + (kHugePage - start % kHugePage) % kHugePage;
        room = bytes;
        forbid(data + bytes, static_cast<size_t>(memory + mapped - data) - bytes);
        prefer_huge_pages(data, bytes);
    }
    ~Arena() { unreserve(memory, mapped); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    size_t mapped;
    uint8_t* memory;
    uint8_t* data = nullptr;
    size_t used = 0, room = 0;
};

std::mutex mutex;
std::weak_ptr<Arena> current;  // shared by small matrices while one of them lives

}  // namespace

std::shared_ptr<uint8_t> allocate_packed(size_t bytes) {
    const size_t rounded = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    std::lock_guard lock(mutex);
    std::shared_ptr<Arena> arena = current.lock();
    if (!arena || arena->room - arena->used < rounded) {
        arena = std::make_shared<Arena>(std::max(rounded, kArena));
        current = arena;
    }
    uint8_t* data = arena->data + arena->used;
    arena->used += rounded;
    return {arena, data};
}

}  // namespace smolforge
