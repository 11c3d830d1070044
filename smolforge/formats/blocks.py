"""Block quantization: how ggml packs runs of weights into bytes, in vectorised NumPy.

In: float32 rows or the raw bytes of a tensor. Out: the other of the two. Layouts and rounding are those of ggml's
reference functions (ggml-quants.c and ggml-common.h in ggml-org/llama.cpp), bit for bit. All arithmetic is float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError, nearest
from smolforge.formats.k_blocks import IQ4_LEVELS, K_DECODERS
from smolforge.formats.k_encode import K_ENCODERS

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class BlockType:
    """A ggml tensor type: ``values`` weights are stored in ``size`` bytes. ``id`` is the number in a GGUF file."""

    name: str
    id: int
    values: int
    size: int

    @property
    def bits(self) -> float:
        """Bits per weight, scales included."""
        return 8 * self.size / self.values

    def row_size(self, length: int) -> int:
        """Bytes of a row of ``length`` weights; FormatError unless it is a whole number of blocks."""
        if length % self.values:
            raise FormatError(f"a row of {length} weights cannot be {self.name}: its blocks hold {self.values} weights")
        return length // self.values * self.size


BLOCK_TYPES: dict[str, BlockType] = {
    t.name: t
    for t in (
        BlockType("F32", 0, 1, 4),
        BlockType("F16", 1, 1, 2),
        BlockType("Q4_0", 2, 32, 18),
        BlockType("Q4_1", 3, 32, 20),
        BlockType("Q5_0", 6, 32, 22),
        BlockType("Q5_1", 7, 32, 24),
        BlockType("Q8_0", 8, 32, 34),
        BlockType("Q2_K", 10, 256, 84),
        BlockType("Q3_K", 11, 256, 110),
        BlockType("Q4_K", 12, 256, 144),
        BlockType("Q5_K", 13, 256, 176),
        BlockType("Q6_K", 14, 256, 210),
        BlockType("IQ4_NL", 20, 32, 18),
        BlockType("IQ4_XS", 23, 256, 136),
        BlockType("BF16", 30, 1, 2),
    )
}
BLOCK_TYPES_BY_ID: dict[int, BlockType] = {t.id: t for t in BLOCK_TYPES.values()}

# Types ggml knows and we do not read, so that a refusal can say their name.
UNREAD_TYPES: dict[int, str] = {
    9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 24: "I8",
    25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


def block_type(name: str) -> BlockType:
    """Return the type called ``name`` (case does not matter); FormatError with the nearest name otherwise."""
    found = BLOCK_TYPES.get(name.upper())
    if found is None:
        raise FormatError(f"'{name}' is not a tensor type{nearest(name.upper(), BLOCK_TYPES)}")
    return found


def _halves(values: Floats) -> Bytes:
    """The bytes of float32 ``values`` rounded to float16, one pair per value, on a new last axis."""
    with np.errstate(over="ignore"):
        half = values.astype("<f2")
    if not np.isfinite(half).all():
        raise FormatError("a block scale does not fit in float16: the weights are too large for this type")
    return half[..., None].view(np.uint8)


def _half(raw: Bytes, at: int) -> Floats:
    """Read a float16 at byte ``at`` of every block; shape (blocks, 1), float32."""
    return np.ascontiguousarray(raw[:, at : at + 2]).view("<f2").astype(np.float32)


def _inverse(scale: Floats) -> Floats:
    """1/scale, and 0 where scale is 0."""
    return np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)


def _signed_extreme(x: Floats) -> Floats:
    """The value with the largest magnitude of each block, with its sign (the first on a tie)."""
    return np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)[:, 0]


def pack_nibbles(codes: Bytes) -> Bytes:
    """Pack codes 0..15 of (blocks, 32) into (blocks, 16): value i in the low nibble, value i + 16 in the high one."""
    return codes[:, :16] | codes[:, 16:] << np.uint8(4)


def unpack_nibbles(packed: Bytes) -> Bytes:
    """Inverse of :func:`pack_nibbles`."""
    return np.concatenate([packed & np.uint8(15), packed >> np.uint8(4)], axis=1)


def _codes(x: Floats, top: int) -> Bytes:
    """Truncate to codes 0..top, as ggml's integer casts do (the inputs are never below -1)."""
    return np.minimum(x.astype(np.int32), top).astype(np.uint8)


def encode_q8_0(x: Floats) -> Bytes:
    """float32 (blocks, 32) → bytes (blocks, 34): scale amax/127, codes rounded half away from zero."""
    d = np.abs(x).max(axis=1) / np.float32(127)
    scaled = x * _inverse(d)[:, None]
    codes = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    # adding 0.5 in float32 may itself round up just below a half, where C's roundf does not
    below = np.abs(scaled - np.trunc(scaled)) < np.float32(0.5)
    codes = np.where(below, np.trunc(scaled).astype(np.int8), codes)
    return np.concatenate([_halves(d), codes.view(np.uint8)], axis=1)


def encode_q4_0(x: Floats) -> Bytes:
    """float32 (blocks, 32) → bytes (blocks, 18): scale is the signed extreme / -8, codes offset by 8."""
    d = _signed_extreme(x) / np.float32(-8)
    codes = _codes(x * _inverse(d)[:, None] + np.float32(8.5), 15)
    return np.concatenate([_halves(d), pack_nibbles(codes)], axis=1)


def encode_q4_1(x: Floats) -> Bytes:
    """float32 (blocks, 32) → bytes (blocks, 20): scale (max - min)/15, offset min."""
    low = x.min(axis=1)
    d = (x.max(axis=1) - low) / np.float32(15)
    codes = _codes((x - low[:, None]) * _inverse(d)[:, None] + np.float32(0.5), 15)
    return np.concatenate([_halves(d), _halves(low), pack_nibbles(codes)], axis=1)


def _with_fifth_bits(codes: Bytes) -> tuple[Bytes, Bytes]:
    """Split 5-bit codes (blocks, 32) into their packed high bits (blocks, 4) and packed nibbles (blocks, 16)."""
    return np.packbits(codes >> np.uint8(4), axis=1, bitorder="little"), pack_nibbles(codes & np.uint8(15))


def encode_q5_0(x: Floats) -> Bytes:
    """float32 (blocks, 32) → bytes (blocks, 22): scale is the signed extreme / -16, codes offset by 16."""
    d = _signed_extreme(x) / np.float32(-16)
    codes = _codes(x * _inverse(d)[:, None] + np.float32(16.5), 31)
    return np.concatenate([_halves(d), *_with_fifth_bits(codes)], axis=1)


def encode_q5_1(x: Floats) -> Bytes:
    """float32 (blocks, 32) → bytes (blocks, 24): scale (max - min)/31, offset min."""
    low = x.min(axis=1)
    d = (x.max(axis=1) - low) / np.float32(31)
    codes = _codes((x - low[:, None]) * _inverse(d)[:, None] + np.float32(0.5), 31)
    return np.concatenate([_halves(d), _halves(low), *_with_fifth_bits(codes)], axis=1)


def encode_bf16(x: Floats) -> Bytes:
    """float32 (n, 1) → bytes (n, 2): the upper half, rounded to nearest even."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    upper = (bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) >> np.uint32(16)
    return upper.astype("<u2").view(np.uint8)


def decode_bf16(raw: Bytes) -> Floats:
    """bytes (n, 2) → float32 (n, 1)."""
    return (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)


def decode_q8_0(raw: Bytes) -> Floats:
    """bytes (blocks, 34) → float32 (blocks, 32)."""
    return _half(raw, 0) * raw[:, 2:].view(np.int8).astype(np.float32)


def decode_q4_0(raw: Bytes) -> Floats:
    """bytes (blocks, 18) → float32 (blocks, 32)."""
    return (unpack_nibbles(raw[:, 2:]).astype(np.float32) - 8) * _half(raw, 0)


def decode_q4_1(raw: Bytes) -> Floats:
    """bytes (blocks, 20) → float32 (blocks, 32)."""
    return unpack_nibbles(raw[:, 4:]).astype(np.float32) * _half(raw, 0) + _half(raw, 2)


def _five_bits(high: Bytes, packed: Bytes) -> Floats:
    fifth = np.unpackbits(np.ascontiguousarray(high), axis=1, bitorder="little")
    return (unpack_nibbles(packed) | fifth << np.uint8(4)).astype(np.float32)


def decode_q5_0(raw: Bytes) -> Floats:
    """bytes (blocks, 22) → float32 (blocks, 32)."""
    return (_five_bits(raw[:, 2:6], raw[:, 6:]) - 16) * _half(raw, 0)


def decode_q5_1(raw: Bytes) -> Floats:
    """bytes (blocks, 24) → float32 (blocks, 32)."""
    return _five_bits(raw[:, 4:8], raw[:, 8:]) * _half(raw, 0) + _half(raw, 2)


def decode_iq4_nl(raw: Bytes) -> Floats:
    """bytes (blocks, 18) → float32 (blocks, 32): as Q4_0, but a code stands for one of 16 uneven levels."""
    return _half(raw, 0) * IQ4_LEVELS[unpack_nibbles(raw[:, 2:])]


ENCODERS: dict[str, Callable[[Floats], Bytes]] = {
    "F32": lambda x: x.astype("<f4").view(np.uint8),
    "F16": lambda x: x.astype("<f2").view(np.uint8),
    "BF16": encode_bf16,
    "Q8_0": encode_q8_0,
    "Q4_0": encode_q4_0,
    "Q4_1": encode_q4_1,
    "Q5_0": encode_q5_0,
    "Q5_1": encode_q5_1,
    **K_ENCODERS,
}
DECODERS: dict[str, Callable[[Bytes], Floats]] = {
    "F32": lambda raw: raw.view("<f4").astype(np.float32),
    "F16": lambda raw: raw.view("<f2").astype(np.float32),
    "BF16": decode_bf16,
    "Q8_0": decode_q8_0,
    "Q4_0": decode_q4_0,
    "Q4_1": decode_q4_1,
    "Q5_0": decode_q5_0,
    "Q5_1": decode_q5_1,
    "IQ4_NL": decode_iq4_nl,
    **K_DECODERS,
}


def quantize(weights: Floats, kind: BlockType) -> Bytes:
    """Encode float32 ``weights`` (..., K) as bytes (..., row_size(K)).

    Raises FormatError for non-finite weights, a K that is not a whole number of blocks, and types that are only read.
    """
    if kind.name not in ENCODERS:
        raise FormatError(f"{kind.name} can be read but not written; written are {', '.join(ENCODERS)}")
    row_bytes = kind.row_size(weights.shape[-1])
    if not np.isfinite(weights).all():
        raise FormatError("the weights hold NaN or infinite values")
    blocks = np.ascontiguousarray(weights, dtype=np.float32).reshape(-1, kind.values)
    return ENCODERS[kind.name](blocks).reshape(*weights.shape[:-1], row_bytes)


def dequantize(raw: Bytes, kind: BlockType, shape: tuple[int, ...]) -> Floats:
    """Decode the bytes of a whole tensor into float32 of ``shape``; FormatError if the size differs."""
    expected = int(np.prod(shape[:-1], dtype=np.int64)) * kind.row_size(shape[-1])
    if raw.size != expected:
        raise FormatError(f"{kind.name} of shape {shape} takes {expected} bytes, not {raw.size}")
    with np.errstate(invalid="ignore", over="ignore"):  # a hostile scale may be inf or NaN: that is the reader's data
        return DECODERS[kind.name](np.ascontiguousarray(raw).reshape(-1, kind.size)).reshape(shape)
