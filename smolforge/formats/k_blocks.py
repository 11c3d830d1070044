"""Reading ggml's K types: super-blocks of 256 weights whose sub-block scales are quantized too.

In: the raw bytes of a tensor's super-blocks, shape (blocks, size). Out: float32 (blocks, 256). Read only: such files
come from other tools. Layouts after ggml-common.h and ggml-quants.c in ggml-org/llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

# The 16 levels of IQ4_NL and IQ4_XS (kvalues_iq4nl in ggml-common.h).
IQ4_LEVELS = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)  # fmt: skip


def _half(raw: Bytes, at: int) -> Floats:
    """The float16 at byte ``at`` of every block, as float32 (blocks, 1)."""
    return np.ascontiguousarray(raw[:, at : at + 2]).view("<f2").astype(np.float32)


def _fields(packed: Bytes, width: int) -> Bytes:
    """Split bytes (blocks, groups, n) into 8/width fields, lowest first: (blocks, groups, 8/width, n)."""
    shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
    fields: Bytes = packed[:, :, None, :] >> shifts & np.uint8((1 << width) - 1)
    return fields


def _scales_and_mins(packed: Bytes) -> tuple[Floats, Floats]:
    """Unpack 8 six-bit scales and 8 six-bit mins from 12 bytes (Q4_K and Q5_K)."""
    low, mid, high = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scales = np.concatenate([low & 63, (high & 15) | (low >> 6) << 4], axis=1)
    mins = np.concatenate([mid & 63, high >> 4 | (mid >> 6) << 4], axis=1)
    return scales.astype(np.float32), mins.astype(np.float32)


def decode_q2_k(raw: Bytes) -> Floats:
    """84 bytes: 16 scale/min nibble pairs, 256 two-bit codes, two float16 factors."""
    d, dmin = _half(raw, 80), _half(raw, 82)
    scale = d * (raw[:, :16] & 15).astype(np.float32)
    minimum = dmin * (raw[:, :16] >> 4).astype(np.float32)
    codes = _fields(raw[:, 16:80].reshape(-1, 2, 32), 2).reshape(-1, 16, 16).astype(np.float32)
    weights: Floats = scale[:, :, None] * codes - minimum[:, :, None]
    return weights.reshape(-1, 256)


def decode_q3_k(raw: Bytes) -> Floats:
    """110 bytes: 256 high bits, 256 low two-bit codes, 16 six-bit scales, one float16 factor."""
    low_codes = _fields(raw[:, 32:96].reshape(-1, 2, 32), 2).reshape(-1, 8, 32)
    high_bits = _fields(raw[:, None, :32], 1).reshape(-1, 8, 32)
    codes = low_codes.astype(np.float32) - np.where(high_bits == 0, np.float32(4), np.float32(0))
    packed = raw[:, 96:108]
    low = np.concatenate([packed[:, :8] & 15, packed[:, :8] >> 4], axis=1)
    high = _fields(packed[:, None, 8:12], 2).reshape(-1, 16)
    scale: Floats = _half(raw, 108) * ((low | high << 4).astype(np.float32) - 32)
    return (scale[:, :, None] * codes.reshape(-1, 16, 16)).reshape(-1, 256)


def decode_q4_k(raw: Bytes) -> Floats:
    """144 bytes: two float16 factors, 8 scales and mins of six bits, 256 nibbles."""
    scales, mins = _scales_and_mins(raw[:, 4:16])
    codes = _fields(raw[:, 16:].reshape(-1, 4, 32), 4).reshape(-1, 8, 32).astype(np.float32)
    scaled = (_half(raw, 0) * scales)[:, :, None] * codes
    return (scaled - (_half(raw, 2) * mins)[:, :, None]).reshape(-1, 256)


def decode_q5_k(raw: Bytes) -> Floats:
    """176 bytes: as Q4_K with a fifth bit of every code in 32 bytes between."""
    scales, mins = _scales_and_mins(raw[:, 4:16])
    low = _fields(raw[:, 48:].reshape(-1, 4, 32), 4).reshape(-1, 8, 32)
    fifth = _fields(raw[:, None, 16:48], 1).reshape(-1, 8, 32)
    codes = (low | fifth << 4).astype(np.float32)
    scaled = (_half(raw, 0) * scales)[:, :, None] * codes
    return (scaled - (_half(raw, 2) * mins)[:, :, None]).reshape(-1, 256)


def decode_q6_k(raw: Bytes) -> Floats:
    """210 bytes: 256 low nibbles, 256 high two-bit codes, 16 int8 scales, one float16 factor."""
    low = _fields(raw[:, :128].reshape(-1, 2, 64), 4).reshape(-1, 2, 4, 32)
    high = _fields(raw[:, 128:192].reshape(-1, 2, 32), 2).reshape(-1, 2, 4, 32)
    codes = (low | high << 4).astype(np.float32) - 32
    scale = _half(raw, 208) * raw[:, 192:208].view(np.int8).astype(np.float32)
    return (scale[:, :, None] * codes.reshape(-1, 16, 16)).reshape(-1, 256)


def decode_iq4_xs(raw: Bytes) -> Floats:
    """136 bytes: one float16 factor, 8 six-bit scales, 256 nibbles that stand for the levels of IQ4_NL."""
    low = _fields(raw[:, 4:8, None], 4).reshape(-1, 8)
    high = np.ascontiguousarray(raw[:, 2:4]).view("<u2") >> np.arange(0, 16, 2, dtype=np.uint16) & np.uint16(3)
    scale = _half(raw, 0) * ((low | high << 4).astype(np.float32) - 32)
    levels = IQ4_LEVELS[_fields(raw[:, 8:].reshape(-1, 8, 16), 4).reshape(-1, 8, 32)]
    return (scale[:, :, None] * levels).reshape(-1, 256)


K_DECODERS: dict[str, Callable[[Bytes], Floats]] = {
    "Q2_K": decode_q2_k,
    "Q3_K": decode_q3_k,
    "Q4_K": decode_q4_k,
    "Q5_K": decode_q5_k,
    "Q6_K": decode_q6_k,
    "IQ4_XS": decode_iq4_xs,
}
