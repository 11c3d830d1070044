"""Better scales for Q4_0: the layout stays, the choice of each block's scale minimises weighted squared error.

In: float32 rows and, if known, how much each column matters (mean squared activation). Out: Q4_0 blocks that any reader
opens. ggml's reference takes the scale from the largest weight alone; the search starts there, so it is never worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError
from smolforge.formats.blocks import block_type, dequantize, pack_nibbles, quantize

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

BLOCK = 32
CHUNK = 1 << 15  # blocks worked on at a time: 4 MiB of float32
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
