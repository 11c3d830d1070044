// GGUF blocks taken apart: codes as bytes, scales as the file stores them. One function a type, nothing rounded.
//
// Byte orders are those of ggml-common.h (ggml-org/llama.cpp); smolforge/formats/blocks.py and k_blocks.py are the same in NumPy.
#pragma once

#include <cstdint>
#include <cstring>

#include "half.h"

namespace smolforge {
namespace {

// One block of a file: 32 columns, or 256 for the K types and IQ4_XS. Which fields are set depends on the type.
struct Decoded {
    uint8_t codes[256];        // 4 bit: 0..15; 8 bit: two's complement
    uint16_t scale, min;       // half floats: scale and minimum, or d and dmin of a K type
    uint8_t s[16], m[16];      // K types: multipliers per 32 (first 8) or per 16 columns
};

inline void split_nibbles(const uint8_t* packed, int bytes, uint8_t* low, uint8_t* high) {
    for (int i = 0; i < bytes; ++i) {
        low[i] = packed[i] & 15;
        high[i] = packed[i] >> 4;
    }
}

inline void decode_q4_0(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    split_nibbles(block + 2, 16, to.codes, to.codes + 16);
}

inline void decode_q4_1(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    to.min = load_u16(block + 2);
    split_nibbles(block + 4, 16, to.codes, to.codes + 16);
}

// The fifth bits of 32 codes lie together in four bytes, code i's at bit i.
inline void add_fifth_bits(const uint8_t* bits, Decoded& to, int subtract) {
    for (int i = 0; i < 32; ++i) {
        const int code = to.codes[i] | ((bits[i / 8] >> (i % 8)) & 1) << 4;
        to.codes[i] = static_cast<uint8_t>(code - subtract);
    }
}

inline void decode_q5_0(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    split_nibbles(block + 6, 16, to.codes, to.codes + 16);
    add_fifth_bits(block + 2, to, 16);
}

inline void decode_q5_1(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    to.min = load_u16(block + 2);
    split_nibbles(block + 8, 16, to.codes, to.codes + 16);
    add_fifth_bits(block + 4, to, 0);
}

inline void decode_q8_0(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    std::memcpy(to.codes, block + 2, 32);
}

inline void decode_q2_k(const uint8_t* block, Decoded& to) {
    for (int i = 0; i < 16; ++i) {
        to.s[i] = block[i] & 15;
        to.m[i] = block[i] >> 4;
    }
    for (int i = 0; i < 256; ++i) to.codes[i] = (block[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    to.scale = load_u16(block + 80);
    to.min = load_u16(block + 82);
}

// 12 bytes hold 16 scales of 6 bits: low nibbles of 0..7, of 8..15 (the high nibbles of the same bytes), then the pairs of high bits.
inline void decode_q3_k(const uint8_t* block, Decoded& to) {
    const uint8_t *high_mask = block, *twos = block + 32, *scales = block + 96;
    for (int i = 0; i < 16; ++i) {
        const int low = i < 8 ? scales[i] & 15 : scales[i - 8] >> 4;
        const int high = (scales[8 + i % 4] >> (i / 4 * 2)) & 3;
        to.s[i] = static_cast<uint8_t>((low | high << 4) - 32);
    }
    for (int i = 0; i < 256; ++i) {
        const int low = (twos[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
        const int third = (high_mask[i % 32] >> (i / 32)) & 1;
        to.codes[i] = static_cast<uint8_t>(low - (third ? 0 : 4));
    }
    to.scale = load_u16(block + 108);
}

// 12 bytes hold 8 scales and 8 minima of 6 bits: the first four of each in bytes 0..7, the low nibbles of the others in 8..11,
// their high bits on top of bytes 0..7.
inline void decode_scales_of_k(const uint8_t* bytes, Decoded& to) {
    for (int i = 0; i < 4; ++i) {
        to.s[i] = bytes[i] & 63;
        to.m[i] = bytes[4 + i] & 63;
        to.s[4 + i] = static_cast<uint8_t>((bytes[8 + i] & 15) | bytes[i] >> 6 << 4);
        to.m[4 + i] = static_cast<uint8_t>(bytes[8 + i] >> 4 | bytes[4 + i] >> 6 << 4);
    }
}

inline void decode_q4_k(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    to.min = load_u16(block + 2);
    decode_scales_of_k(block + 4, to);
    for (int i = 0; i < 4; ++i) split_nibbles(block + 16 + 32 * i, 32, to.codes + 64 * i, to.codes + 64 * i + 32);
}

inline void decode_q5_k(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    to.min = load_u16(block + 2);
    decode_scales_of_k(block + 4, to);
    for (int i = 0; i < 4; ++i) split_nibbles(block + 48 + 32 * i, 32, to.codes + 64 * i, to.codes + 64 * i + 32);
    for (int i = 0; i < 256; ++i) to.codes[i] = static_cast<uint8_t>(to.codes[i] | ((block[16 + i % 32] >> (i / 32)) & 1) << 4);
}

inline void decode_q6_k(const uint8_t* block, Decoded& to) {
    for (int half = 0; half < 2; ++half) {  // 64 bytes of low nibbles and 32 bytes of high pairs serve 128 codes
        split_nibbles(block + 64 * half, 64, to.codes + 128 * half, to.codes + 128 * half + 64);
    }
    for (int i = 0; i < 256; ++i) {
        const int high = (block[128 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
        to.codes[i] = static_cast<uint8_t>((to.codes[i] | high << 4) - 32);
    }
    std::memcpy(to.s, block + 192, 16);
    to.scale = load_u16(block + 208);
}

// The 16 values of the IQ4 types (kvalues_iq4nl in ggml-common.h).
constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

inline void look_up_iq4(uint8_t* codes, int count) {
    for (int i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(kIq4Values[codes[i]]);
}

inline void decode_iq4_nl(const uint8_t* block, Decoded& to) {
    decode_q4_0(block, to);
    look_up_iq4(to.codes, 32);
}

// One 6-bit scale per 32 columns: its low nibble in bytes 4..7, its high bits in the 16-bit word before them.
inline void decode_iq4_xs(const uint8_t* block, Decoded& to) {
    to.scale = load_u16(block);
    const int high = load_u16(block + 2);
    for (int i = 0; i < 8; ++i) {
        const int scale = ((block[4 + i / 2] >> (i % 2 * 4)) & 15) | ((high >> (2 * i)) & 3) << 4;
        to.s[2 * i] = to.s[2 * i + 1] = static_cast<uint8_t>(scale - 32);
        split_nibbles(block + 8 + 16 * i, 16, to.codes + 32 * i, to.codes + 32 * i + 16);
    }
    look_up_iq4(to.codes, 256);
}

}  // namespace
}  // namespace smolforge
