#include "pool.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "machine.h"

namespace smolforge {
namespace {

constexpr int kSpins = 2000;  // pauses of 40 to 140 cycles: 30 to 110 us, the gap between two decode steps
constexpr int kYields = 64;

// Spins, then gives the core to whoever wants it, until `ready`; false when patience ran out.
template <class Ready>
bool spin(Ready&& ready) {
    for (int i = 0; i < kSpins; ++i) {
        if (ready()) return true;
        pause_cpu();
    }
    for (int i = 0; i < kYields; ++i) {
        if (ready()) return true;
        std::this_thread::yield();
    }
    return ready();
}

constexpr int kPieceBits = 25;  // of a stretch's first piece and of its end; the phase has the other 14
constexpr int kMostPhases = (1 << 14) - 1;

constexpr int64_t kInside = 0x7fff;  // the gate's low bits count the workers inside a run
constexpr int64_t kOpen = 0x8000;    // whether one may enter
constexpr int64_t kRun = 0x10000;    // the rest counts runs

}  // namespace

struct Pool::State {
    std::mutex turn;  // one run at a time
    std::mutex mutex;
    std::condition_variable wake, left;
    std::vector<std::thread> workers;
    const std::function<void(int)>* body = nullptr;
    int threads = 1;               // of this run, the caller's included
    std::atomic<int64_t> gate{0};
    bool stop = false;             // read after the gate

    bool grow();
    void work(int index, int64_t seen);
    bool enter(int64_t run);
    void leave();
};

// False where the system gives no thread (a limit, or no memory for its stack): then those there are do all pieces.
bool Pool::State::grow() {
    const int index = static_cast<int>(workers.size()) + 1;
    try {
        workers.emplace_back([this, index, run = gate.load() / kRun] { work(index, run); });
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}

// A worker that comes after the gate was closed is not waited for, and goes back to sleep.
bool Pool::State::enter(int64_t run) {
    int64_t now = gate.load(std::memory_order_acquire);
    while (now / kRun == run && (now & kOpen))
        if (gate.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel)) return true;
    return false;
}

void Pool::State::leave() {
    const int64_t before = gate.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & kInside) != 1 || (before & kOpen)) return;
    std::lock_guard lock(mutex);
    left.notify_all();
}

void Pool::State::work(int index, int64_t seen) {
    for (;;) {
        auto changed = [&] { return gate.load(std::memory_order_acquire) / kRun != seen; };
        if (!spin(changed)) {
            std::unique_lock lock(mutex);
            wake.wait(lock, changed);
        }
        seen = gate.load(std::memory_order_acquire) / kRun;
        if (!enter(seen)) continue;
        const bool last = stop;
        if (!last && index < threads) (*body)(index);
        leave();
        if (last) return;
    }
}

Pool::Pool() : state_(new State) {
    on_fork([] { shared().state_ = new State; });  // the parent's workers and locks do not exist in the child
}

Pool& Pool::shared() {
    static Pool pool;
    return pool;
}

void Pool::run(int threads, const std::function<void(int)>& body) {
    State& state = *state_;
    std::lock_guard turn(state.turn);
    state.body = &body;
    state.threads = threads;
    while (static_cast<int>(state.workers.size()) < threads - 1 && state.grow()) {}
    if (threads > 1) {
        std::lock_guard lock(state.mutex);
        state.gate.store((state.gate.load() / kRun + 1) * kRun | kOpen, std::memory_order_release);
        state.wake.notify_all();
    }
    body(0);
    if (threads == 1) return;
    state.gate.fetch_and(~kOpen, std::memory_order_acq_rel);
    auto empty = [&] { return (state.gate.load(std::memory_order_acquire) & kInside) == 0; };
    if (spin(empty)) return;
    std::unique_lock lock(state.mutex);
    state.left.wait(lock, empty);
}

// At exit. Other threads may still be inside `run`, or come later: the first are waited for, the others find no turn any more,
// and the state they look at stays.
Pool::~Pool() {
    state_->turn.lock();
    {
        std::lock_guard lock(state_->mutex);
        state_->stop = true;
        state_->gate.store((state_->gate.load() / kRun + 1) * kRun | kOpen);
        state_->wake.notify_all();
    }
    for (std::thread& worker : state_->workers) worker.join();
    state_->workers.clear();
}

void Phases::begin(int threads) {
    if (threads != threads_) stretches_ = std::make_unique<Stretch[]>(static_cast<size_t>(threads));
    for (int i = 0; i < threads; ++i) stretches_[static_cast<size_t>(i)].state.store(0, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    threads_ = threads;
}

int64_t Phases::claim(int phase, int owner, int64_t pieces, bool front) {
    if (phase > kMostPhases || pieces > kMostPieces) std::abort();  // a pass has at most 11 phases for each of 1,024 layers
    std::atomic<uint64_t>& state = stretches_[static_cast<size_t>(owner)].state;
    uint64_t now = state.load(std::memory_order_acquire);
    for (;;) {
        const auto at = static_cast<int>(now >> 2 * kPieceBits);
        if (at > phase) return -1;
        auto begin = static_cast<int64_t>(now >> kPieceBits & kMostPieces), end = static_cast<int64_t>(now & kMostPieces);
        if (at < phase) begin = first(pieces, owner), end = first(pieces, owner + 1);
        if (begin == end) return -1;
        const int64_t taken = front ? begin++ : --end;
        const uint64_t then =
            static_cast<uint64_t>(phase) << 2 * kPieceBits | static_cast<uint64_t>(begin) << kPieceBits | static_cast<uint64_t>(end);
        if (state.compare_exchange_weak(now, then, std::memory_order_acq_rel, std::memory_order_acquire)) return taken;
    }
}

void Phases::wait(const Walk& walk) {
    for (const Span& soon : walk.soon)
        for (size_t i = 0; i < soon.bytes; i += 64) __builtin_prefetch(soon.at + i);
    auto ready = [&] { return done_.load(std::memory_order_acquire) >= walk.pieces; };
    while (!spin(ready)) std::this_thread::sleep_for(std::chrono::microseconds(20));
}

}  // namespace smolforge
