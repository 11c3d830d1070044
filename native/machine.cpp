#include "machine.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "pool.h"

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif
#ifdef SMOLFORGE_SANITIZE
#include <sanitizer/asan_interface.h>
#endif

namespace smolforge {

#ifdef SMOLFORGE_SANITIZE
constexpr size_t kGuard = 4096;  // forbidden bytes behind what is reserved
void forbid(uint8_t* data, size_t bytes) { __asan_poison_memory_region(data, bytes); }
static void allow(uint8_t* data, size_t bytes) { __asan_unpoison_memory_region(data, bytes); }
#else
[[maybe_unused]] constexpr size_t kGuard = 0;
void forbid(uint8_t*, size_t) {}
[[maybe_unused]] static void allow(uint8_t*, size_t) {}
#endif

#ifdef _WIN32

void on_fork(void (*)()) {}

uint8_t* reserve(size_t bytes) {  // Windows commits at once; pages still take memory only when touched
    void* data = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (data == nullptr) throw std::bad_alloc();
    return static_cast<uint8_t*>(data);
}

void unreserve(uint8_t* data, size_t) { VirtualFree(data, 0, MEM_RELEASE); }
void discard(uint8_t* data, size_t bytes) { std::memset(data, 0, bytes); }
void prefer_huge_pages(uint8_t*, size_t) {}

#else

void on_fork(void (*child)()) { pthread_atfork(nullptr, nullptr, child); }

uint8_t* reserve(size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#ifdef MAP_NORESERVE
    flags |= MAP_NORESERVE;
#endif
    void* mapped = mmap(nullptr, bytes + kGuard, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    auto* data = static_cast<uint8_t*>(mapped);
    forbid(data + bytes, kGuard);
    return data;
}

void unreserve(uint8_t* data, size_t bytes) {
    allow(data, bytes + kGuard);
    munmap(data, bytes + kGuard);
}

void discard(uint8_t* data, size_t bytes) {
#ifdef __linux__
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
    const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
    if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    const uintptr_t first = reinterpret_cast<uintptr_t>(data), last = first + bytes;
    std::memset(data, 0, std::min(begin, last) - first);  // the edges, which share a system page with a neighbour
    if (end >= begin && last > end) std::memset(reinterpret_cast<void*>(end), 0, last - end);
#else
    std::memset(data, 0, bytes);
    madvise(data, bytes, MADV_FREE);
#endif
}

void prefer_huge_pages(uint8_t* data, size_t bytes) {
#ifdef MADV_HUGEPAGE
    madvise(data, bytes, MADV_HUGEPAGE);
#else
    (void)data, (void)bytes;
#endif
}

#endif

#ifdef __linux__

namespace {

long read_number(const std::string& path, long otherwise) {
    long value = otherwise;
    std::ifstream(path) >> value;
    return value;
}

int allowed_cores() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return static_cast<int>(std::thread::hardware_concurrency());
    std::set<std::pair<long, long>> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
        cores.insert({read_number(topology + "physical_package_id", 0), read_number(topology + "core_id", cpu)});
    }
    return static_cast<int>(cores.size());
}

int quota_cores() {  // cgroup v2: "max 100000" or "150000 100000", microseconds of a period
    std::ifstream file("/sys/fs/cgroup/cpu.max");
    long quota = 0, period = 0;
    if (!(file >> quota >> period) || quota <= 0 || period <= 0) return 1 << 20;
    return static_cast<int>((quota + period - 1) / period);
}

}  // namespace

int default_threads() { return std::max(1, std::min(allowed_cores(), quota_cores())); }

#else

int default_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

#endif

}  // namespace smolforge
