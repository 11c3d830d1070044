// BLAKE2b with 8 bytes of digest and no key (RFC 7693): what hashlib.blake2b(data, digest_size=8) returns, little endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace smolforge {

uint64_t blake2b_64(const uint8_t* data, size_t size);

}  // namespace smolforge
