// What differs between operating systems, and nothing else: memory that is reserved first and used when touched, forks, a pause
// inside a spin.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(_MSC_VER) || defined(__x86_64__)
#include <immintrin.h>
#endif

namespace smolforge {

inline void pause_cpu() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Calls `child` in every child process right after a fork.
void on_fork(void (*child)());

// Address space of zero bytes; memory is used when touched. Throws std::bad_alloc.
uint8_t* reserve(size_t bytes);
void unreserve(uint8_t* data, size_t bytes);
// Gives the memory of a range back to the system; it reads as zeros afterwards. Whole system pages inside the range only.
void discard(uint8_t* data, size_t bytes);
// Nobody may touch this range until it is unreserved. For the address sanitizer, which does not know the ends of mapped memory by
// itself; elsewhere it does nothing.
void forbid(uint8_t* data, size_t bytes);
// Asks for large pages: fewer address translations while weights stream past.
void prefer_huge_pages(uint8_t* data, size_t bytes);

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace smolforge
