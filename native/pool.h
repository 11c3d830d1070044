// Threads of the engine: they spin briefly for work, then sleep. Every Model of the process shares them.
//
// A forward pass is one `run`: all threads walk through the same list of phases, and the pieces of a phase are claimed one by one
// through a counter. A phase ends when its pieces are done, not when all threads have arrived: a thread whose core was taken by
// another process delays at most the one piece it holds.
#pragma once

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>

namespace smolforge {

// Physical cores this process may use: affinity mask and cgroup quota counted, hyper-threads not.
int default_threads();

class Pool {
  public:
    static Pool& shared();

    // Calls body(0) on this thread and body(1) ... body(threads - 1) on workers; returns when all have returned.
    // One call at a time; others wait. `body` must not throw.
    void run(int threads, const std::function<void(int)>& body);

    Pool();
    ~Pool();

  private:
    struct State;
    State* state_;
};

// The phases of one run. `begin` before it; then each thread calls `each` once per phase, in the same order.
class Phases {
  public:
    void begin(int count, int threads);

    // Claims pieces 0 ... pieces - 1 of phase `index`; `prepare()` runs once on each thread that gets a piece, before its first.
    // Returns when every piece of the phase is done, by whichever thread.
    template <class Prepare, class Piece>
    void each(int index, int64_t pieces, Prepare&& prepare, Piece&& piece) {
        if (index >= capacity_) std::abort();  // more phases than `begin` was told of: stop before memory is overwritten
        Phase& phase = phases_[static_cast<size_t>(index)];
        int64_t mine = 0;
        for (int64_t next; (next = phase.next.fetch_add(1, std::memory_order_relaxed)) < pieces; ++mine) {
            if (mine == 0) prepare();
            piece(next);
        }
        finish(phase, mine, pieces);
    }

  private:
    struct alignas(64) Phase {
        std::atomic<int64_t> next{0};
        alignas(64) std::atomic<int64_t> done{0};
    };

    void finish(Phase& phase, int64_t mine, int64_t pieces);

    std::unique_ptr<Phase[]> phases_;
    int capacity_ = 0;
    int threads_ = 1;
};

}  // namespace smolforge
