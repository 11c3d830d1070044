// One forward pass: what every thread walks through, phase after phase (pool.h).
//
// Rows are the tokens of all sequences, one after the other. A phase splits into pieces that write disjoint memory, and each piece
// computes its numbers in a fixed order, so who does it, and how many pieces there are, leaves no trace in the result.
#include "forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "kernels.h"

namespace smolforge {

void Activations::reserve(int64_t rows, int64_t width) {
    cols = width;
    values.reserve(rows * cols);
    codes.reserve(rows * cols);
    scales.reserve(rows * cols / kBlockCols);
    sums.reserve(rows * cols / kBlockCols);
}

void Activations::quantize(int64_t row, int64_t from, int64_t count, const float* x) {
    const int64_t at = row * cols + from;
    ops().quantize(x, count, codes.at(at), scales.at(at / kBlockCols), sums.at(at / kBlockCols));
}

namespace {

constexpr int64_t kOwnRows = 2;       // up to here each thread normalizes for itself rather than wait for another
constexpr int64_t kRowsPerPiece = 8;  // of elementwise work
constexpr int64_t kWidest = 8;        // panels of one piece
constexpr size_t kSoonBytes = 48 << 10;    // of the next weights, asked for while a thread waits: they stay in L2
constexpr int64_t kTileBytes = 384 << 10;  // of int8 activations that one piece reads again and again: they stay in L2

int64_t pieces_of(int64_t count, int64_t each) { return (count + each - 1) / each; }

int64_t rows_per_piece(int64_t rows, int64_t cols) {
    return std::min(rows, std::max<int64_t>(kTileBytes / cols / 48, 1) * 48);
}

void multiply(const Packed& w, const Activations& x, int64_t row, int64_t rows, float* out, int64_t stride, int64_t begin, int64_t end) {
    if (is_float(w.kind))
        return kernels().matmul_float(w, x.values.at(row * x.cols), static_cast<int>(rows), out, stride, begin, end);
    const int64_t block = row * x.cols / kBlockCols;
    const QuantizedRows q{static_cast<int>(rows), x.cols, x.codes.at(row * x.cols), x.scales.at(block), x.sums.at(block)};
    kernels().matmul(w, q, out, stride, begin, end);
}

}  // namespace

void Pass::run(int thread) {
    Walk walk(thread);
    embed(walk);
    for (int i = 0; i < s_.n_layers; ++i) {
        const Layer& layer = m_.layers_[static_cast<size_t>(i)];
        record(walk, i);
        expect(walk, layer.o.packed);
        project(walk, layer);
        attend(walk, layer, i);
        expect(walk, layer.gate.packed);
        walk.soon[1] = stretch_of(walk, layer.up.packed, s_.d_ff);
        add_product(walk, layer.o.packed, w_.mixed);
        expect(walk, layer.down.packed);
        feed_forward(walk, layer);
        if (i + 1 == s_.n_layers) expect(walk, m_.head_.packed);
        else walk.soon[0] = stretch_of(walk, m_.layers_[static_cast<size_t>(i) + 1].q.packed, s_.query_size() + 2 * s_.kv_size());
        add_product(walk, layer.down.packed, w_.hidden);
    }
    record(walk, s_.n_layers);
    if (b_.m > 0) finish(walk);
}

// Where the thread's stretch begins in a product with `rows` outputs, of which `weights` are the first.
Span Pass::stretch_of(const Walk& walk, const Packed& weights, int64_t rows) const {
    const int64_t width = panels_per_piece(panels(rows)), first = w_.phases.first(pieces_of(panels(rows), width), walk.thread) * width;
    const size_t begin = static_cast<size_t>(first) * panel_bytes(weights.kind, weights.cols);
    if (begin >= weights.bytes) return {};
    return {weights.data + begin, std::min(kSoonBytes, weights.bytes - begin)};
}

void Pass::expect(Walk& walk, const Packed& weights) const {
    walk.soon[0] = stretch_of(walk, weights, weights.rows);
    walk.soon[1] = {};
}

void Pass::embed(Walk& walk) {
    each(walk, pieces_of(b_.n, kRowsPerPiece), [&](int64_t piece) {
        const int64_t end = std::min(b_.n, (piece + 1) * kRowsPerPiece);
        for (int64_t row = piece * kRowsPerPiece; row < end; ++row) {
            kernels().unpack_row(m_.embedding_.packed, b_.tokens[row], w_.x.at(row * s_.d_model));
            for (size_t table = 0; table < s_.rope_tables.size(); ++table) write_turns(static_cast<int>(table), row);
        }
    });
}

// Angles as float32 products, as in training: the last bits of a far position matter.
void Pass::write_turns(int table, int64_t row) {
    const RopeTable& rope = s_.rope_tables[static_cast<size_t>(table)];
    const int half = s_.head_dim / 2;
    const auto position = static_cast<float>(positions_[static_cast<size_t>(row)]);
    float* at = w_.turns.at((table * b_.n + row) * s_.head_dim);
    for (int i = 0; i < half; ++i) {
        const float angle = position * rope.inverse_frequencies[static_cast<size_t>(i)];
        at[i] = std::cos(angle) * rope.scale;
        at[half + i] = std::sin(angle) * rope.scale;
    }
}

void Pass::record(Walk& walk, int64_t layer) {
    if (trace_ == nullptr) return;
    const int64_t size = b_.n * s_.d_model;
    each(walk, 1, [&](int64_t) { std::memcpy(trace_ + layer * size, w_.x.data(), sizeof(float) * static_cast<size_t>(size)); });
}

template <class Body>
void Pass::normed(Walk& walk, const Normed& what, int64_t pieces, Body&& body) {
    const int64_t d = s_.d_model;
    const bool own = what.rows <= kOwnRows;
    Activations& x = own ? scratch(walk).normed : w_.normed;
    auto normalize = [&](int64_t row) {
        const int64_t from = what.pick ? what.pick[row] : row;
        ops().rms_norm(w_.x.at(from * d), what.gain, d, s_.norm_eps, x.values.at(row * d));
        x.quantize(row, 0, d, x.values.at(row * d));
    };
    if (!own) each(walk, what.rows, normalize);
    auto prepare = [&] {
        for (int64_t row = 0; own && row < what.rows; ++row) normalize(row);
    };
    each(walk, pieces, prepare, [&](int64_t piece) { body(piece, x); });
}

void Pass::project(Walk& walk, const Layer& layer) {
    const Packed* matrices[] = {&layer.q.packed, &layer.k.packed, &layer.v.packed};
    const int64_t offsets[] = {0, s_.query_size(), s_.query_size() + s_.kv_size()}, stride = s_.query_size() + 2 * s_.kv_size();
    const int64_t rows = rows_per_piece(b_.n, s_.d_model), tiles = pieces_of(b_.n, rows);
    const int64_t width = panels_per_piece(panels(stride));
    int64_t ends[3], pieces = 0;  // of each matrix
    for (int i = 0; i < 3; ++i) ends[i] = pieces += pieces_of(panels(matrices[i]->rows), width);
    normed(walk, {layer.attention_norm.data(), b_.n, nullptr}, pieces * tiles, [&](int64_t piece, const Activations& x) {
        const int64_t row = piece % tiles * rows;
        piece /= tiles;
        const int i = piece < ends[0] ? 0 : piece < ends[1] ? 1 : 2;
        const int64_t begin = (i ? piece - ends[i - 1] : piece) * width, end = std::min(begin + width, panels(matrices[i]->rows));
        multiply(*matrices[i], x, row, std::min(rows, b_.n - row), w_.qkv.at(row * stride + offsets[i]), stride, begin, end);
    });
}

void Pass::add_product(Walk& walk, const Packed& weights, const Activations& x) {
    const int64_t rows = rows_per_piece(b_.n, weights.cols), tiles = pieces_of(b_.n, rows);
    const int64_t all = panels(weights.rows), width = panels_per_piece(all);
    float* product = scratch(walk).product.data();
    each(walk, pieces_of(all, width) * tiles, [&](int64_t piece) {
        const int64_t row = piece % tiles * rows, count = std::min(rows, b_.n - row);
        const int64_t begin = piece / tiles * width, end = std::min(begin + width, all), from = begin * kPanelRows;
        const int64_t stride = width * kPanelRows, columns = std::min(end * kPanelRows, weights.rows) - from;
        multiply(weights, x, row, count, product - from, stride, begin, end);
        for (int64_t r = 0; r < count; ++r) ops().add(w_.x.at((row + r) * s_.d_model + from), product + r * stride, columns);
    });
}

void Pass::feed_forward(Walk& walk, const Layer& layer) {
    const int64_t rows = rows_per_piece(b_.n, s_.d_model), tiles = pieces_of(b_.n, rows);
    const int64_t all = panels(s_.d_ff), width = panels_per_piece(all);
    const bool whole = is_float(layer.down.packed.kind);
    float *gate = scratch(walk).product.data(), *up = scratch(walk).up.data();
    normed(walk, {layer.mlp_norm.data(), b_.n, nullptr}, pieces_of(all, width) * tiles, [&](int64_t piece, const Activations& x) {
        const int64_t row = piece % tiles * rows, count = std::min(rows, b_.n - row);
        const int64_t begin = piece / tiles * width, end = std::min(begin + width, all), from = begin * kPanelRows;
        const int64_t stride = width * kPanelRows, columns = (end - begin) * kPanelRows;
        multiply(layer.gate.packed, x, row, count, gate - from, stride, begin, end);
        multiply(layer.up.packed, x, row, count, up - from, stride, begin, end);
        for (int64_t r = 0; r < count; ++r) {
            float* values = gate + r * stride;
            ops().swiglu(values, up + r * stride, columns);
            if (whole) std::memcpy(w_.hidden.values.at((row + r) * s_.d_ff + from), values, sizeof(float) * static_cast<size_t>(columns));
            else w_.hidden.quantize(row + r, from, columns, values);
        }
    });
}

void Pass::finish(Walk& walk) {
    const Packed& head = m_.head_.packed;
    const Normed what{m_.final_norm_.data(), b_.m, b_.outputs};
    if (hidden_) {
        return normed(walk, what, b_.m, [&](int64_t row, const Activations& x) {
            std::memcpy(out_ + row * s_.d_model, x.values.at(row * s_.d_model), sizeof(float) * static_cast<size_t>(s_.d_model));
        });
    }
    const int64_t rows = rows_per_piece(b_.m, s_.d_model), tiles = pieces_of(b_.m, rows);
    const int64_t all = panels(head.rows), width = panels_per_piece(all);
    normed(walk, what, pieces_of(all, width) * tiles, [&](int64_t piece, const Activations& x) {
        const int64_t row = piece % tiles * rows, begin = piece / tiles * width, end = std::min(begin + width, all);
        multiply(head, x, row, std::min(rows, b_.m - row), out_ + row * head.rows, head.rows, begin, end);
    });
}

void Model::forward(Pages& kv, const Batch& batch, bool hidden, float* out, float* trace) {
    std::lock_guard turn(turn_);
    check(kv, batch);
    if (batch.n == 0) return;
    Pass pass(*this, kv, batch, hidden, out, trace);
    Pool::shared().run(threads_, [&](int thread) { pass.run(thread); });
}

// ---- plan: what the pieces of attention are, and the memory of the pass ----

Pass::Pass(Model& model, Pages& kv, const Batch& batch, bool hidden, float* out, float* trace)
    : m_(model), s_(model.shape_), kv_(kv), b_(batch), w_(model.work_), hidden_(hidden), out_(out), trace_(trace) {
    tile_tokens_ = std::max<int64_t>(1, kTileRows / s_.group());
    int64_t row = 0, longest = 1;
    for (int64_t i = 0; i < b_.sequences; ++i) {
        const int64_t start = b_.starts[i], count = b_.counts[i];
        for (int64_t t = 0; t < count; t += tile_tokens_)
            tiles_.push_back({i, row + t, std::min(tile_tokens_, count - t), start + t});
        for (int64_t t = 0; t < count; ++t) positions_.push_back(start + t);
        longest = std::max(longest, pieces_of(start + count, kPartitionTokens));
        store_first_ |= count > tile_tokens_;
        row += count;
    }
    split_ = m_.threads_ > 1 && longest > 1 && static_cast<int64_t>(tiles_.size()) * s_.n_kv_heads < 8 * m_.threads_;
    store_first_ |= split_;
    plan_pieces();
    reserve();
}

void Pass::plan_pieces() {
    int64_t slot = 0;
    for (size_t i = tiles_.size(); i-- > 0;) {  // later tokens first: they see the most keys
        const Tile& tile = tiles_[i];
        const int64_t partitions = pieces_of(tile.position + tile.tokens, kPartitionTokens);
        for (int head = 0; head < s_.n_kv_heads; ++head) {
            merges_.push_back(pieces_.size());
            if (!split_) pieces_.push_back({&tile, head, 0, partitions, -1});
            for (int64_t p = 0; split_ && p < partitions; ++p) pieces_.push_back({&tile, head, p, p + 1, slot++});
        }
    }
    merges_.push_back(pieces_.size());
    if (static_cast<int64_t>(pieces_.size()) > kMostPieces) throw std::invalid_argument("tokens: too many for one pass with so many heads");
}

void Pass::reserve() {
    const int64_t n = b_.n, most = std::max(n, b_.m), dim = kv_.layout().dim, stride = kWidest * kPanelRows;
    const int64_t mixed = tile_tokens_ * s_.group() * (2 + dim);
    w_.x.reserve(n * s_.d_model);
    w_.qkv.reserve(n * (s_.query_size() + 2 * s_.kv_size()));
    w_.turns.reserve(static_cast<int64_t>(s_.rope_tables.size()) * n * s_.head_dim);
    w_.partials.reserve(split_ ? mixed * static_cast<int64_t>(pieces_.size()) : 0);
    w_.normed.reserve(most, s_.d_model);
    w_.mixed.reserve(n, s_.query_size());
    w_.hidden.reserve(n, s_.d_ff);
    w_.threads.resize(static_cast<size_t>(m_.threads_));
    for (Scratch& scratch : w_.threads) {
        scratch.normed.reserve(kOwnRows, s_.d_model);
        scratch.product.reserve(rows_per_piece(n, kBlockCols) * stride);
        scratch.up.reserve(rows_per_piece(n, kBlockCols) * stride);
        scratch.queries.reserve(tile_tokens_ * s_.group(), dim);
        scratch.last.reserve(tile_tokens_ * s_.group());
        scratch.total.reserve(mixed);
        scratch.part.reserve(mixed);
        scratch.key.reserve(dim);
        scratch.value.reserve(dim);
    }
    w_.phases.begin(m_.threads_);
}

}  // namespace smolforge
