#include "scratch.h"

#include <cstdint>
#include <memory>

namespace smolforge {

void* scratch(size_t bytes) {
    thread_local std::unique_ptr<unsigned char[]> memory;
    thread_local size_t held = 0;
    if (held < bytes) {
        memory.reset(new unsigned char[bytes + 64]);
        held = bytes;
    }
    const auto at = reinterpret_cast<uintptr_t>(memory.get());
    return reinterpret_cast<void*>((at + 63) / 64 * 64);
}

}  // namespace smolforge
