// Threads walk through random phases, now and then delayed as if their core had been taken: every piece is done once, and what a
// phase wrote is seen by the next. Built with the thread sanitizer by test_pool.py, which finds a missing order that luck hides.
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "pool.h"

using namespace smolforge;

namespace {

constexpr int kMost = 40;  // phases of a run, and pieces of a phase

struct Board {
    std::vector<int> pieces;
    std::vector<std::vector<int>> done;  // times each piece of each phase was done: plain numbers, ordered by the phases alone
};

void delay(std::minstd_rand& random) {
    if (random() % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
}

int sum(const std::vector<int>& values) {
    int all = 0;
    for (int value : values) all += value;
    return all;
}

bool walk_all(Phases& phases, Board& board, int thread, unsigned seed) {
    std::minstd_rand random(seed * 31 + static_cast<unsigned>(thread) + 1);
    Walk walk(thread);
    bool right = true;
    for (size_t phase = 0; phase < board.pieces.size(); ++phase) {
        bool prepared = false;
        phases.each(walk, board.pieces[phase], [&] { prepared = true; }, [&](int64_t piece) {
            right &= prepared && (phase == 0 || sum(board.done[phase - 1]) == board.pieces[phase - 1]);
            delay(random);
            ++board.done[phase][static_cast<size_t>(piece)];
        });
        right &= sum(board.done[phase]) == board.pieces[phase];
        delay(random);
    }
    return right;
}

}  // namespace

int main() {
    Phases phases;
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::minstd_rand random(seed + 1);
        const int threads = 1 + static_cast<int>(random() % 4);
        Board board;
        for (unsigned i = random() % kMost; i > 0; --i) board.pieces.push_back(static_cast<int>(random() % kMost));
        for (int count : board.pieces) board.done.emplace_back(static_cast<size_t>(count), 0);
        std::vector<char> right(static_cast<size_t>(threads), 1);
        phases.begin(threads);
        Pool::shared().run(threads, [&](int thread) { right[static_cast<size_t>(thread)] = walk_all(phases, board, thread, seed); });
        for (char good : right)
            if (!good) return std::printf("run %u: a phase began before the one before it was done\n", seed), 1;
        for (const std::vector<int>& times : board.done)
            for (int count : times)
                if (count != 1) return std::printf("run %u: a piece was done %d times\n", seed, count), 1;
    }
    std::puts("300 runs");
    return 0;
}
