// Half floats without instructions for them, for the files that run on any machine.
#pragma once

#include <cstdint>
#include <cstring>

namespace smolforge {
namespace {

inline float float_of_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline uint32_t bits_of_float(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// IEEE 754 binary16 to binary32, exact; subnormals and non-finite values included.
inline float float_of_half(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
    const uint32_t magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00) return float_of_bits(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
    if (magnitude < 0x400) {  // subnormal: magnitude * 2^-24
        const float value = static_cast<float>(magnitude) * 5.9604644775390625e-8f;
        return sign ? -value : value;
    }
    return float_of_bits(sign | ((magnitude << 13) + (112u << 23)));
}

inline float float_of_bfloat(uint16_t half) { return float_of_bits(static_cast<uint32_t>(half) << 16); }

inline uint16_t load_u16(const uint8_t* at) {
    uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

}  // namespace
}  // namespace smolforge
