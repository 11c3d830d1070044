#include "blake2b.h"

#include <cstring>

namespace smolforge {
namespace {

constexpr size_t kBlock = 128;
constexpr uint64_t kStart[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
constexpr uint8_t kOrder[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

uint64_t rotate(uint64_t x, int n) { return x >> n | x << (64 - n); }

inline __attribute__((always_inline)) void stir(uint64_t* v, int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

void compress(uint64_t* state, const uint8_t* block, uint64_t read, bool last) {
    uint64_t m[16], v[16];
    for (size_t i = 0; i < 16; ++i) {
        m[i] = 0;
        for (size_t k = 0; k < 8; ++k) m[i] |= static_cast<uint64_t>(block[8 * i + k]) << (8 * k);
    }
    std::memcpy(v, state, 64);
    std::memcpy(v + 8, kStart, 64);
    v[12] ^= read;
    if (last) v[14] = ~v[14];
    for (int round = 0; round < 12; ++round) {
        const uint8_t* o = kOrder[round % 10];
        for (int i = 0; i < 4; ++i) stir(v, i, i + 4, i + 8, i + 12, m[o[2 * i]], m[o[2 * i + 1]]);
        for (int i = 0; i < 4; ++i) stir(v, i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12, m[o[2 * i + 8]], m[o[2 * i + 9]]);
    }
    for (int i = 0; i < 8; ++i) state[i] ^= v[i] ^ v[i + 8];
}

}  // namespace

uint64_t blake2b_64(const uint8_t* data, size_t size) {
    uint64_t state[8];
    std::memcpy(state, kStart, 64);
    state[0] ^= 0x01010000 ^ 8;  // fan-out and depth 1, no key, 8 bytes
    size_t done = 0;
    for (; size - done > kBlock; done += kBlock) compress(state, data + done, done + kBlock, false);
    uint8_t rest[kBlock] = {};
    if (size > done) std::memcpy(rest, data + done, size - done);
    compress(state, rest, size, true);
    return state[0];
}

}  // namespace smolforge
