// Memory of the calling thread for one kernel call. Compiled once, outside the instruction sets, so that no set's code leaks.
#pragma once

#include <cstddef>

namespace smolforge {

// At least `bytes`, aligned to 64, overwritten by the thread's next call. Throws std::bad_alloc.
void* scratch(size_t bytes);

}  // namespace smolforge
