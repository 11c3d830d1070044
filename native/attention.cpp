// Attention of a pass: queries are rotated, new keys and values written to their pages, and partitions of the keys added up in order.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "forward.h"
#include "kernels.h"

namespace smolforge {
namespace {

Mixed from_row(const Mixed& all, int64_t row, int64_t dim) { return {all.max + row, all.sum + row, all.values + row * dim}; }

}  // namespace

void Pass::attend(Walk& walk, const Layer& layer, int index) {
    Scratch& own = scratch(walk);
    if (store_first_)
        each(walk, static_cast<int64_t>(tiles_.size()), [&](int64_t i) {
            const Tile& tile = tiles_[static_cast<size_t>(i)];
            for (int64_t t = 0; t < tile.tokens; ++t)
                for (int head = 0; head < s_.n_kv_heads; ++head) store(tile, t, layer, index, head, own);
        });
    each(walk, static_cast<int64_t>(pieces_.size()), [&](int64_t i) { attend_piece(pieces_[static_cast<size_t>(i)], layer, index, own); });
    if (split_)
        each(walk, static_cast<int64_t>(merges_.size()) - 1, [&](int64_t i) {
            merge_pieces(merges_[static_cast<size_t>(i)], merges_[static_cast<size_t>(i) + 1]);
        });
    const int64_t columns = s_.group() * s_.head_dim;
    if (columns % kBlockCols != 0)  // blocks of 32 reach across heads: write_rows left them
        each(walk, b_.n, [&](int64_t row) { w_.mixed.quantize(row, 0, s_.query_size(), w_.mixed.values.at(row * s_.query_size())); });
}

void Pass::attend_piece(const Piece& piece, const Layer& layer, int index, Scratch& own) {
    if (!store_first_)
        for (int64_t t = 0; t < piece.tile->tokens; ++t) store(*piece.tile, t, layer, index, piece.head, own);
    const Queries q = prepare_queries(piece, layer, own);
    if (piece.slot >= 0) return attend_partition(piece, piece.begin, index, q, slot(piece.slot));
    const Mixed total = mixed_at(own.total.data()), part = mixed_at(own.part.data());
    attend_partition(piece, 0, index, q, total);
    for (int64_t partition = 1; partition < piece.end; ++partition) {
        attend_partition(piece, partition, index, q, part);
        merge_rows(piece, partition, total, part);
    }
    write_rows(piece, total);
}

// Rows before `first` end before this partition begins.
int64_t Pass::first_row(const Piece& piece, int64_t partition) const {
    return std::max<int64_t>(0, partition * kPartitionTokens - piece.tile->position) * s_.group();
}

void Pass::attend_partition(const Piece& piece, int64_t partition, int index, const Queries& q, const Mixed& out) {
    const int64_t first = first_row(piece, partition), dim = q.dim, blocks = dim / kBlockCols;
    const int64_t end = piece.tile->position + piece.tile->tokens, page = partition * kPartitionPages;
    const auto pages = static_cast<int>(std::min<int64_t>(kPartitionPages, (end + kPageTokens - 1) / kPageTokens - page));
    const uint8_t* heads[kPartitionPages];
    for (int i = 0; i < pages; ++i) heads[i] = head_of(piece.tile->sequence, page + i, index, piece.head);
    const Queries rows{q.rows - static_cast<int>(first), q.dim, q.values + first * dim, q.codes + first * dim,
                       q.scales + first * blocks, q.sums + first * blocks, q.last + first};
    ops().attend(kv_.layout(), heads, pages, partition * kPartitionTokens, rows, from_row(out, first, dim));
}

void Pass::merge_rows(const Piece& piece, int64_t partition, const Mixed& total, const Mixed& part) {
    const int64_t first = first_row(piece, partition), dim = kv_.layout().dim;
    const int rows = static_cast<int>(piece.tile->tokens * s_.group() - first);
    ops().merge(from_row(total, first, dim), from_row(part, first, dim), rows, static_cast<int>(dim));
}

void Pass::merge_pieces(size_t first, size_t end) {
    const Mixed total = slot(pieces_[first].slot);
    for (size_t i = first + 1; i < end; ++i) merge_rows(pieces_[i], pieces_[i].begin, total, slot(pieces_[i].slot));
    write_rows(pieces_[first], total);
}

Queries Pass::prepare_queries(const Piece& piece, const Layer& layer, Scratch& own) {
    const int64_t group = s_.group(), dim = kv_.layout().dim, stride = s_.query_size() + 2 * s_.kv_size();
    const float scale = 1.0f / std::sqrt(static_cast<float>(s_.head_dim));
    const bool coded = kv_.layout().kind == KvKind::q8 || kv_.layout().kind == KvKind::q4;
    Activations& q = own.queries;
    for (int64_t t = 0; t < piece.tile->tokens; ++t)
        for (int64_t h = 0; h < group; ++h) {
            const int64_t row = piece.tile->row + t, r = t * group + h;
            float* out = q.values.at(r * dim);
            ops().rotate(w_.qkv.at(row * stride + (piece.head * group + h) * s_.head_dim), turns(layer, row), s_.head_dim / 2, scale, out);
            std::fill(out + s_.head_dim, out + dim, 0.0f);
            if (coded) q.quantize(r, 0, dim, out);
            own.last.data()[r] = static_cast<int32_t>(piece.tile->position + t);
        }
    return {static_cast<int>(piece.tile->tokens * group), static_cast<int>(dim), q.values.data(), q.codes.data(), q.scales.data(),
            q.sums.data(), own.last.data()};
}

void Pass::store(const Tile& tile, int64_t token, const Layer& layer, int index, int head, Scratch& own) {
    const int64_t row = tile.row + token, position = tile.position + token, dim = kv_.layout().dim;
    const float* from = w_.qkv.at(row * (s_.query_size() + 2 * s_.kv_size()) + s_.query_size() + head * s_.head_dim);
    float *key = own.key.data(), *value = own.value.data();
    ops().rotate(from, turns(layer, row), s_.head_dim / 2, 1.0f, key);
    std::copy(from + s_.kv_size(), from + s_.kv_size() + s_.head_dim, value);
    std::fill(key + s_.head_dim, key + dim, 0.0f);
    std::fill(value + s_.head_dim, value + dim, 0.0f);
    uint8_t* part = head_of(tile.sequence, position / kPageTokens, index, head);
    ops().store(kv_.layout(), part, static_cast<int>(position % kPageTokens), key, value);
}

// Divides by the sum of weights, and quantizes for the output product what belongs to this head group alone.
void Pass::write_rows(const Piece& piece, const Mixed& total) {
    const int64_t group = s_.group(), dim = kv_.layout().dim, columns = group * s_.head_dim;
    for (int64_t t = 0; t < piece.tile->tokens; ++t) {
        const int64_t row = piece.tile->row + t, from = piece.head * columns;
        float* out = w_.mixed.values.at(row * s_.query_size() + from);
        for (int64_t h = 0; h < group; ++h) {
            const int64_t r = t * group + h;
            const float inverse = 1.0f / total.sum[r];
            for (int64_t d = 0; d < s_.head_dim; ++d) out[h * s_.head_dim + d] = total.values[r * dim + d] * inverse;
        }
        if (columns % kBlockCols == 0) w_.mixed.quantize(row, from, columns, out);
    }
}

Mixed Pass::mixed_at(float* at) const {
    const int64_t rows = tile_tokens_ * s_.group();
    return {at, at + rows, at + 2 * rows};
}

Mixed Pass::slot(int64_t index) const { return mixed_at(w_.partials.at(index * tile_tokens_ * s_.group() * (2 + kv_.layout().dim))); }

}  // namespace smolforge
