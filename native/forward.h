// One forward pass over a batch, walked through by every thread of the pool.
#pragma once

#include <algorithm>
#include <vector>

#include "model.h"
#include "ops.h"

namespace smolforge {

constexpr int64_t kPartitionTokens = kPartitionPages * kPageTokens;

struct Tile {  // tokens of one sequence whose queries are answered together
    int64_t sequence, row, tokens, position;
};

struct Piece {  // of attention: a tile, a KV head, partitions [begin, end) of the keys
    const Tile* tile;
    int head;
    int64_t begin, end;
    int64_t slot;  // where the result waits to be merged; -1: the piece finishes its rows itself
};

struct Normed {  // which rows of the residual stream a product reads, after RMSNorm
    const float* gain;
    int64_t rows;
    const int32_t* pick;  // null: all of them in order
};

class Pass {
  public:
    Pass(Model& model, Pages& kv, const Batch& batch, bool hidden, float* out, float* trace);
    void run(int thread);

  private:
    void plan_pieces();
    void reserve();

    void embed(Walk& walk);
    void write_turns(int table, int64_t row);
    void record(Walk& walk, int64_t layer);
    void project(Walk& walk, const Layer& layer);
    void add_product(Walk& walk, const Packed& weights, const Activations& x);
    void feed_forward(Walk& walk, const Layer& layer);
    void finish(Walk& walk);

    // attention.cpp
    void attend(Walk& walk, const Layer& layer, int index);
    void attend_piece(const Piece& piece, const Layer& layer, int index, Scratch& scratch);
    void attend_partition(const Piece& piece, int64_t partition, int index, const Queries& q, const Mixed& out);
    void merge_rows(const Piece& piece, int64_t partition, const Mixed& total, const Mixed& part);
    int64_t first_row(const Piece& piece, int64_t partition) const;
    void merge_pieces(size_t first, size_t end);
    Queries prepare_queries(const Piece& piece, const Layer& layer, Scratch& scratch);
    void store(const Tile& tile, int64_t token, const Layer& layer, int index, int head, Scratch& scratch);
    void write_rows(const Piece& piece, const Mixed& total);
    Mixed mixed_at(float* at) const;
    Mixed slot(int64_t index) const;
    const float* turns(const Layer& layer, int64_t row) const {
        return layer.rope < 0 ? nullptr : w_.turns.at((layer.rope * b_.n + row) * s_.head_dim);
    }
    uint8_t* head_of(int64_t sequence, int64_t page, int index, int head) const {
        return kv_.page(b_.pages[sequence * b_.pages_each + page]) + kv_.layout().offset(index, head);
    }

    Scratch& scratch(const Walk& walk) { return w_.threads[static_cast<size_t>(walk.thread)]; }
    // Of `all` panels: even, since vector sets work on two at once.
    int64_t panels_per_piece(int64_t all) const { return std::clamp<int64_t>(all / (m_.threads_ * 8) / 2 * 2, 2, 8); }
    Span stretch_of(const Walk& walk, const Packed& weights, int64_t rows) const;
    void expect(Walk& walk, const Packed& weights) const;

    template <class Prepare, class Body>
    void each(Walk& walk, int64_t pieces, Prepare&& prepare, Body&& body) {
        w_.phases.each(walk, pieces, prepare, body);
    }
    template <class Body>
    void each(Walk& walk, int64_t pieces, Body&& body) {
        w_.phases.each(walk, pieces, body);
    }
    template <class Body>  // body(piece, activations)
    void normed(Walk& walk, const Normed& what, int64_t pieces, Body&& body);

    Model& m_;
    const Shape& s_;
    Pages& kv_;
    const Batch& b_;
    Workspace& w_;
    const bool hidden_;
    float *const out_, *const trace_;
    int64_t tile_tokens_ = 1;
    bool split_ = false;        // partitions of one tile are pieces of their own
    bool store_first_ = false;  // keys and values are written in a phase before attention
    std::vector<Tile> tiles_;
    std::vector<int64_t> positions_;
    std::vector<Piece> pieces_;
    std::vector<size_t> merges_;  // first piece of each tile and head, then the end: neighbours merge
};

}  // namespace smolforge
