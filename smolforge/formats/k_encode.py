"""Writing ggml's K types: every sub-block's scale (and minimum) is searched for, then both are quantized in turn.

In: float32 super-blocks (n, 256). Out: bytes (n, size). The layouts are those ``k_blocks.py`` reads; the search is
weighted least squares over a grid of codings, after make_qkx2_quants and make_qx_quants of llama.cpp's ggml-quants.c.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

CHUNK = 1 << 8  # super-blocks worked on at a time: a quarter MiB of float32, so that passes stay in the cache
_SHIFTS = tuple(step / 5 for step in range(-5, 6))  # how far the largest code may lie from its place, in codes


def _divide(a: Floats | np.float32, b: Floats) -> Floats:
    """a / b, and 0 where b is 0."""
    a = np.asarray(a)
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape), np.float32), where=b != 0)


def _halves(values: Floats) -> Bytes:
    """float32 (n,) → bytes (n, 2) of float16; FormatError where it overflows."""
    with np.errstate(over="ignore"):
        half = values.astype("<f2")
    if not np.isfinite(half).all():
        raise FormatError("a block scale does not fit in float16: the weights are too large for this type")
    return half[:, None].view(np.uint8)


def scale_and_min(x: Floats, top: int, *, floor: bool) -> tuple[Floats, Floats]:
    """Find scale and minimum of sub-blocks ``x`` (n, 32) for codes 0..top: value = scale * code + minimum.

    ``floor``: the minimum may not be above 0 (the K types subtract one, they cannot add). Large weights count more:
    each error is weighted with the sub-block's root mean square plus the weight's magnitude.
    """
    w = np.sqrt(np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1]))[:, None] + np.abs(x)
    low, high = x.min(axis=1), x.max(axis=1)
    if floor:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    lifted, span = x - low[:, None], high - low
    sum_w, sum_x, sum_xx = w.sum(axis=1), np.einsum("ij,ij->i", w, x), np.einsum("ij,ij,ij->i", w, x, x)
    scale, minimum = span / np.float32(top), low.copy()
    best, codes, weighted = np.full(len(x), np.inf, np.float32), np.empty_like(x), np.empty_like(x)
    for shift in _SHIFTS:
        _round_into(codes, lifted, _divide(np.float32(top + shift), span), 0, top)
        np.multiply(w, codes, out=weighted)
        sum_l = weighted.sum(axis=1)
        sum_ll, sum_xl = np.einsum("ij,ij->i", weighted, codes), np.einsum("ij,ij->i", weighted, x)
        determinant = sum_w * sum_ll - sum_l * sum_l
        found = _divide(sum_w * sum_xl - sum_x * sum_l, determinant)
        offset = _divide(sum_ll * sum_x - sum_l * sum_xl, determinant)
        if floor:
            above = offset > 0
            found, offset = np.where(above, _divide(sum_xl, sum_ll), found), np.where(above, 0, offset)
        # the weighted square of (found * code + offset - x), from the sums
        error = (
            found * (found * sum_ll + 2 * (offset * sum_l - sum_xl)) + offset * (offset * sum_w - 2 * sum_x) + sum_xx
        )
        better = (error < best) & (determinant > 0)
        np.copyto(best, error, where=better)
        np.copyto(scale, found, where=better)
        np.copyto(minimum, offset, where=better)
    return scale, minimum


def _round_into(codes: Floats, x: Floats, inverse: Floats, low: int, top: int) -> None:
    """codes = x * inverse (n,), rounded and clipped to low..top."""
    np.multiply(x, inverse[:, None], out=codes)
    np.clip(np.rint(codes, out=codes), low, top, out=codes)


def _pack_scales(scales: Bytes, mins: Bytes) -> Bytes:
    """Pack 8 six-bit scales and 8 six-bit mins (n, 8) into 12 bytes (Q4_K and Q5_K)."""
    low = scales[:, :4] | (scales[:, 4:] >> 4) << 6
    mid = mins[:, :4] | (mins[:, 4:] >> 4) << 6
    high = scales[:, 4:] & 15 | (mins[:, 4:] & 15) << 4
    return np.concatenate([low, mid, high], axis=1)


def _affine(x: Floats, top: int) -> tuple[Bytes, Bytes]:
    """Encode super-blocks (n, 256) with codes 0..top: the 16 bytes of factors and scales, and codes (n, 8, 32)."""
    n = len(x)
    scale, minimum = (part.reshape(n, 8) for part in scale_and_min(x.reshape(-1, 32), top, floor=True))
    d_bytes, d, scales = _six_bits(np.maximum(scale, 0))
    m_bytes, dmin, mins = _six_bits(np.maximum(-minimum, 0))
    step, offset = (d * scales)[:, :, None], (dmin * mins)[:, :, None]
    codes = np.clip(np.rint(_divide(x.reshape(n, 8, 32) + offset, step)), 0, top).astype(np.uint8)
    return np.concatenate([d_bytes, m_bytes, _pack_scales(scales, mins)], axis=1), codes


def _six_bits(values: Floats) -> tuple[Bytes, Floats, Bytes]:
    """Quantize 8 values (n, 8), none negative, to 6 bits: the bytes of their float16 factor, the factor, the codes."""
    factor = _halves(values.max(axis=1) / np.float32(63))
    d = factor.view("<f2").astype(np.float32)
    return factor, d, np.clip(np.rint(_divide(values, d)), 0, 63).astype(np.uint8)


def encode_q4_k(x: Floats) -> Bytes:
    """float32 (n, 256) → bytes (n, 144)."""
    head, codes = _affine(x, 15)
    pairs = codes.reshape(-1, 4, 2, 32)
    return np.concatenate([head, (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)], axis=1)


def encode_q5_k(x: Floats) -> Bytes:
    """float32 (n, 256) → bytes (n, 176)."""
    head, codes = _affine(x, 31)
    pairs = (codes & 15).reshape(-1, 4, 2, 32)
    fifth = np.packbits(codes >> 4, axis=1, bitorder="little").reshape(-1, 32)
    return np.concatenate([head, fifth, (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128)], axis=1)


def _symmetric_scale(x: Floats, top: int) -> Floats:
    """Find the scale of sub-blocks ``x`` (n, 16) for codes -top..top-1; errors are weighted with the squared weight."""
    extreme = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)[:, 0]
    w, best, scale = x * x, np.zeros(len(x), np.float32), np.zeros(len(x), np.float32)
    codes, weighted = np.empty_like(x), np.empty_like(x)
    for shift in _SHIFTS:
        _round_into(codes, x, _divide(np.float32(-(top + shift)), extreme), -top, top - 1)
        np.multiply(w, codes, out=weighted)
        sum_xl, sum_ll = np.einsum("ij,ij->i", weighted, x), np.einsum("ij,ij->i", weighted, codes)
        found = _divide(sum_xl, sum_ll)
        better = found * sum_xl > best  # how much of the weighted square this scale explains
        np.copyto(best, found * sum_xl, where=better)
        np.copyto(scale, found, where=better)
    return scale


def encode_q6_k(x: Floats) -> Bytes:
    """float32 (n, 256) → bytes (n, 210)."""
    n = len(x)
    scale = _symmetric_scale(x.reshape(-1, 16), 32).reshape(n, 16)
    extreme = np.take_along_axis(scale, np.abs(scale).argmax(axis=1)[:, None], axis=1)[:, 0]
    factor = _halves(extreme / np.float32(-128))
    d = factor.view("<f2").astype(np.float32)
    scales = np.clip(np.rint(_divide(scale, d)), -128, 127)
    step = (d * scales)[:, :, None]
    codes = (np.clip(np.rint(_divide(x.reshape(n, 16, 16), step)), -32, 31) + 32).astype(np.uint8).reshape(n, 2, 4, 32)
    low = (codes & 15).reshape(n, 2, 2, 64)
    high = codes >> 4
    packed = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    parts = [(low[:, :, 0] | low[:, :, 1] << 4).reshape(n, 128), packed.reshape(n, 64)]
    return np.concatenate([*parts, scales.astype(np.int8).view(np.uint8), factor], axis=1)


def _in_chunks(encode: Callable[[Floats], Bytes]) -> Callable[[Floats], Bytes]:
    def encoded(x: Floats) -> Bytes:
        return np.concatenate([encode(x[start : start + CHUNK]) for start in range(0, len(x), CHUNK)])

    return encoded


K_ENCODERS: dict[str, Callable[[Floats], Bytes]] = {
    "Q4_K": _in_chunks(encode_q4_k),
    "Q5_K": _in_chunks(encode_q5_k),
    "Q6_K": _in_chunks(encode_q6_k),
}
