// Threads of the engine: they spin briefly for work, then sleep. Every Model of the process shares them.
//
// A forward pass is one `run`: all threads walk through the same list of phases, and the pieces of a phase are claimed one by one.
// A phase ends when its pieces are done, not when all threads have arrived: a thread whose core was taken by another process delays
// at most the one piece it holds.
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

    // Calls body(0) on this thread and body(1) ... body(threads - 1) on workers, on fewer where the system gives no more threads;
    // returns when all have returned. One call at a time; others wait. `body` must not throw.
    void run(int threads, const std::function<void(int)>& body);

    Pool();
    ~Pool();

  private:
    struct State;
    State* state_;
};

constexpr int64_t kMostPieces = (1 << 25) - 1;  // of a phase

struct Span {  // of memory
    const uint8_t* at = nullptr;
    size_t bytes = 0;
};

struct Walk {  // one thread's way through the phases of a run
    explicit Walk(int of_thread) : thread(of_thread) {}

    int thread;
    int phase = 0;
    int64_t pieces = 0;  // of all phases up to here
    Span soon[2];        // what the thread will read after the phase, asked for while it waits for others
};

// The phases of one run. `begin` before it; then each thread calls `each` once per phase, in the same order.
//
// A thread owns a stretch of a phase's pieces and takes them in order, so that the weights it reads are one stream; whoever has
// none left takes the last piece of another's stretch:
//
//   pieces     | 0 1 2 3 4 5 6 7 | 8 9 10 11 12 13 14 15 |
//   thread 0     ──▶         ◀── thread 1, once its own are gone
//   thread 1                       ──▶
//
// A stretch is one number: phase, first piece, end. Whoever looks at it first in a phase sets it, so a thread that comes late
// (its core was taken) holds nothing up, and finds its stretch gone on to a later phase when it comes.
class Phases {
  public:
    void begin(int threads);

    // Does pieces 0 ... pieces - 1 of the walk's next phase; `prepare()` runs once on each thread that gets a piece, before its
    // first. Returns when every piece is done, by whichever thread.
    template <class Prepare, class Piece>
    void each(Walk& walk, int64_t pieces, Prepare&& prepare, Piece&& piece) {
        int64_t mine = 0;
        ++walk.phase;
        walk.pieces += pieces;
        for (int k = 0; k < threads_; ++k) {
            const int owner = (walk.thread + k) % threads_;
            for (int64_t next; (next = claim(walk.phase, owner, pieces, k == 0)) >= 0; ++mine) {
                if (mine == 0) prepare();
                piece(next);
            }
        }
        if (mine > 0) done_.fetch_add(mine, std::memory_order_acq_rel);
        if (done_.load(std::memory_order_acquire) >= walk.pieces) return;
        wait(walk);
    }

    template <class Piece>
    void each(Walk& walk, int64_t pieces, Piece&& piece) {
        each(walk, pieces, [] {}, piece);
    }

    // Where a thread's stretch of `pieces` begins.
    int64_t first(int64_t pieces, int thread) const { return pieces * thread / threads_; }

  private:
    struct alignas(64) Stretch {
        std::atomic<uint64_t> state{0};
    };

    int64_t claim(int phase, int owner, int64_t pieces, bool front);
    void wait(const Walk& walk);

    std::unique_ptr<Stretch[]> stretches_;
    int threads_ = 0;
    alignas(64) std::atomic<int64_t> done_{0};  // pieces of all phases
};

}  // namespace smolforge
