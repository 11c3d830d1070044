"""Losses of two models on the same documents, over several seeds: the difference and how sure it is.

Input: bits each document costs under each model and seed, and its bytes. Output: bits per byte of both, their
difference with an interval over documents and seeds, and one over seeds alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
# Student's t, 0.975 quantile, for 1 … 30 degrees of freedom (beyond: the normal distribution's 1.96)
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class PairedLoss:
    """``a``, ``b`` and ``difference`` = a − b in bits per byte (above 0: b is better).

    ``low`` … ``high``: 95% over documents and seeds together; ``seeds_low`` … ``seeds_high``: over seeds alone (None
    for one seed). ``per_seed``: the difference of each.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    seeds_low: float | None
    seeds_high: float | None
    per_seed: tuple[float, ...]
    documents: int
    bytes: int

    @property
    def verdict(self) -> Literal["a", "b", "open"]:
        """Which is better, where both intervals lie on one side of 0."""
        lows = [low for low in (self.low, self.seeds_low) if low is not None]
        highs = [high for high in (self.high, self.seeds_high) if high is not None]
        return "b" if min(lows) > 0 else "a" if max(highs) < 0 else "open"

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {**asdict(self), "verdict": self.verdict}


def paired_loss(bits_a: ArrayLike, bits_b: ArrayLike, sizes: ArrayLike, groups: Sequence[str]) -> PairedLoss:
    """Compare bits (seeds, documents) of two models; ``sizes`` (documents,) in bytes.

    Documents of one ``group`` (parts of one work) are drawn together. The interval over documents and seeds resamples
    both (Owen 2007, "The pigeonhole bootstrap"); that over seeds is Student's. ValueError for shapes that differ.
    """
    a, b = np.asarray(bits_a, dtype=np.float64), np.asarray(bits_b, dtype=np.float64)
    size = np.asarray(sizes, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != len(size) or len(groups) != len(size) or not size.sum() > 0:
        raise ValueError(f"paired_loss: shapes {a.shape}, {b.shape}, {size.shape} and {len(groups)} groups do not fit")
    names, which = np.unique(np.asarray(groups), return_inverse=True)
    seeds, count = a.shape[0], len(names)
    apart = np.stack([np.bincount(which, row, minlength=count) for row in a - b]).astype(np.float64)
    weight = np.bincount(which, size, minlength=count).astype(np.float64)
    per_seed = apart.sum(axis=1) / weight.sum()
    low, high = np.quantile(_resampled(apart, weight), [0.025, 0.975])
    half = _T[min(seeds - 2, 29)] * per_seed.std(ddof=1) / math.sqrt(seeds) if seeds > 1 else None
    mean = float(per_seed.mean())
    return PairedLoss(
        float(a.sum() / size.sum() / seeds), float(b.sum() / size.sum() / seeds), mean, float(low), float(high),
        None if half is None else mean - float(half), None if half is None else mean + float(half),
        tuple(float(each) for each in per_seed), len(size), int(size.sum()),
    )  # fmt: skip


def _resampled(apart: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the difference in ``RESAMPLES`` draws of seeds and groups, from ``apart`` (seeds, groups) in bits."""
    seeds, count = apart.shape
    random = np.random.Generator(np.random.Philox(0))
    drawn_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    drawn_groups = random.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    bits = ((drawn_seeds / seeds) @ apart * drawn_groups).sum(axis=1)
    return np.asarray(bits / np.maximum(drawn_groups @ weight, 1e-12))
