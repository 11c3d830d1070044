"""Better scales for Q4_0 and Q4_1: the layout stays, the choice of each block's scale minimises squared error.

In: float32 rows and, if known, how much each column matters (mean squared activation). Out: Q4_0 blocks that any reader
opens. ggml's reference takes the scale from the largest weight alone; the search starts there, so it is never worse.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError
from smolforge.formats.blocks import block_type, dequantize, pack_nibbles, quantize
from smolforge.formats.k_encode import scale_and_min

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

BLOCK = 32
CHUNK = 1 << 15  # blocks worked on at a time: 4 MiB of float32
QUICK_CHUNK = 1 << 11  # so that all passes over a chunk stay in the cache
QUICK_SHIFTS = (-0.7, -0.4, -0.2, 0.0, 0.2, 0.4, 0.7)
# How far the largest weight may lie from code -8, in codes; as far as ggml's own searches for K types look.
SHIFTS = tuple(step / 10 for step in range(-9, 10))


def search_q4_0(weights: Floats, importance: Floats | None = None) -> Bytes:
    """Encode float32 ``weights`` (rows, K) as Q4_0 bytes (rows, K / 32 * 18).

    ``importance`` (K,), not negative, weighs the squared error of each column; None weighs all alike. For every block:
    from each of several codings the least-squares scale, rounded to float16, is tried, and the best is kept.
    """
    kind = block_type("Q4_0")
    reference = quantize(weights, kind)
    rows, columns = weights.shape
    weight_of_column = np.ones(columns, np.float32) if importance is None else importance.astype(np.float32)
    if weight_of_column.shape != (columns,) or not np.isfinite(weight_of_column).all() or weight_of_column.min() < 0:
        raise FormatError(f"importance must be {columns} finite numbers, none of them negative")
    # a column that calibration never saw still counts a little
    weight_of_column = weight_of_column + np.float32(1e-3) * weight_of_column.mean() + np.float32(1e-30)
    x, old = weights.reshape(-1, BLOCK), reference.reshape(-1, kind.size)
    per_row = np.ascontiguousarray(weight_of_column.reshape(-1, BLOCK))
    found = np.empty_like(old)
    for start in range(0, len(x), CHUNK):
        part = slice(start, min(start + CHUNK, len(x)))
        w = per_row[np.arange(part.start, part.stop) % len(per_row)]
        found[part] = _search_blocks(x[part], w, old[part])
    return found.reshape(rows, -1)


def _search_blocks(x: Floats, w: Floats, reference: Bytes) -> Bytes:
    """Search one chunk: ``x`` and ``w`` (n, 32), ``reference`` (n, 18)."""
    best = reference.copy()
    best_error = (w * (dequantize(reference, block_type("Q4_0"), x.shape) - x) ** 2).sum(axis=1)
    extreme = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)
    for shift in SHIFTS:
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = np.where(extreme != 0, np.float32(-8 + shift) / extreme, np.float32(0))
            codes = np.clip(np.rint(x * inverse), -8, 7)
            scale = (w * x * codes).sum(axis=1) / (w * codes * codes).sum(axis=1)
        half = np.where(np.isfinite(scale), scale, 0).astype("<f2")
        d = half.astype(np.float32)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            codes = np.where(d != 0, np.clip(np.rint(x / d), -8, 7), 0).astype(np.float32)
        error = (w * (d * codes - x) ** 2).sum(axis=1)
        better = error < best_error
        best_error = np.where(better, error, best_error)
        packed = pack_nibbles((codes[better] + 8).astype(np.uint8))
        best[better] = np.concatenate([half[better, None].view(np.uint8), packed], axis=1)
    return best


def quick_q4_0(weights: Floats) -> Bytes:
    """Encode float32 ``weights`` (rows, K) as Q4_0 bytes, several times faster than ``search_q4_0`` and nearly as well.

    Of several codings of each block the one whose least-squares scale explains most of the block's square is kept:
    (sum x c)^2 / sum c^2, without trying what the rounding of the scale does.
    """
    return _by_chunk(weights, "Q4_0", _quick_blocks)


def _by_chunk(weights: Floats, name: str, encode: Callable[[Floats], Bytes]) -> Bytes:
    """Encode ``weights`` (rows, K) with a function from blocks (n, 32) to bytes (n, block size), chunk by chunk."""
    kind = block_type(name)
    rows, row_bytes = len(weights), kind.row_size(weights.shape[1])
    x = np.ascontiguousarray(weights, np.float32).reshape(-1, BLOCK)
    found = np.empty((len(x), kind.size), np.uint8)
    for start in range(0, len(x), QUICK_CHUNK):
        found[start : start + QUICK_CHUNK] = encode(x[start : start + QUICK_CHUNK])
    return found.reshape(rows, row_bytes)


def _quick_blocks(x: Floats) -> Bytes:
    largest, smallest = x.max(axis=1), x.min(axis=1)
    extreme = np.where(-smallest > largest, smallest, largest)
    inverse = np.divide(np.float32(-8), extreme, out=np.zeros_like(extreme), where=extreme != 0)
    best, scale = np.full(len(x), np.float32(-1)), np.zeros(len(x), np.float32)
    codes = np.empty_like(x)
    for shift in QUICK_SHIFTS:
        np.multiply(x, (inverse * np.float32(1 - shift / 8))[:, None], out=codes)
        np.clip(np.rint(codes, out=codes), -8, 7, out=codes)
        sum_xc, sum_cc = np.einsum("ij,ij->i", x, codes), np.einsum("ij,ij->i", codes, codes)
        found = np.divide(sum_xc, sum_cc, out=np.zeros_like(sum_xc), where=sum_cc > 0)
        better = found * sum_xc > best
        np.copyto(best, found * sum_xc, where=better)
        np.copyto(scale, found, where=better)
    half = scale.astype("<f2")
    step = half.astype(np.float32)
    np.multiply(x, np.divide(np.float32(1), step, out=np.zeros_like(step), where=step != 0)[:, None], out=codes)
    nibbles = (np.clip(np.rint(codes, out=codes), -8, 7, out=codes) + np.float32(8)).astype(np.uint8)
    return np.concatenate([half[:, None].view(np.uint8), pack_nibbles(nibbles)], axis=1)


def search_q4_1(weights: Floats) -> Bytes:
    """Encode float32 ``weights`` (rows, K) as Q4_1 bytes: scale and minimum of each block by the search of Q4_K."""
    return _by_chunk(weights, "Q4_1", _q4_1_blocks)


def _q4_1_blocks(x: Floats) -> Bytes:
    scale, minimum = (part.astype("<f2") for part in scale_and_min(x, 15, floor=False))
    step, offset = scale.astype(np.float32)[:, None], minimum.astype(np.float32)[:, None]
    codes = np.divide(x - offset, step, out=np.zeros_like(x), where=step != 0)
    nibbles = np.clip(np.rint(codes, out=codes), 0, 15, out=codes).astype(np.uint8)
    factors = [part[:, None].view(np.uint8) for part in (scale, minimum)]
    return np.concatenate([*factors, pack_nibbles(nibbles)], axis=1)
