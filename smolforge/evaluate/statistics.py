"""Uncertainty of scores: Wilson and bootstrap intervals, McNemar's test, and the rank score of model comparisons.

Input: counts or per-item scores. Output: plain floats and ``Proportion``; used by every part of the evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Proportion:
    """``hits`` of ``count`` with a Wilson interval; ``value``, ``low``, ``high`` lie in [0, 1] (NaN for no items)."""

    hits: int
    count: int
    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float | int | None]:
        """Return a JSON object; undefined numbers become null."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}


def wilson(hits: int, count: int, confidence: float = 0.95) -> Proportion:
    """Return the Wilson score interval of a proportion (E. B. Wilson, 1927).

    centre = (p + z²/2n) / (1 + z²/n);  half width = z / (1 + z²/n) · √(p(1−p)/n + z²/4n²).
    """
    if not 0 <= hits <= count:
        raise ValueError(f"wilson: expected 0 <= hits <= count, got {hits} of {count}")
    if count == 0:
        return Proportion(0, 0, math.nan, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p, shrink = hits / count, 1 + z * z / count
    centre = (p + z * z / (2 * count)) / shrink
    half = z / shrink * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return Proportion(hits, count, p, min(max(centre - half, 0.0), p), max(min(centre + half, 1.0), p))


@dataclass(frozen=True)
class PairedDifference:
    """How answers to the same items differ: ``difference`` = rate(a) − rate(b) with an interval, and McNemar's p."""

    only_a: int
    only_b: int
    count: int
    difference: float
    low: float
    high: float
    p_value: float


def paired_difference(a: Sequence[bool], b: Sequence[bool], confidence: float = 0.95) -> PairedDifference:
    """Compare two sets of right/wrong answers to the same items, in the same order.

    The interval is the Wald interval of paired proportions with Agresti and Min's (2005) half a count added to each
    of the four cells; ``p_value`` is McNemar's exact two-sided binomial test on the discordant pairs.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"paired_difference: expected equally long, non-empty sequences, got {len(a)} and {len(b)}")
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    n, padded = len(a), len(a) + 2
    left, right = only_a + 0.5, only_b + 0.5
    centre = (left - right) / padded
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(left + right - (left - right) ** 2 / padded) / padded
    discordant, smaller = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(discordant, k) for k in range(smaller + 1)) / 2**discordant
    return PairedDifference(
        only_a, only_b, n, (only_a - only_b) / n, max(centre - half, -1.0), min(centre + half, 1.0), min(1.0, 2 * tail)
    )


def bootstrap(
    scores: ArrayLike, *, seed: int = 0, resamples: int = 2000, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return (mean, low, high) of per-item scores (n,) by the percentile bootstrap; NaN for no items."""
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        return math.nan, math.nan, math.nan
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(0, values.size, values.size)].mean() for _ in range(resamples)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(values.mean()), float(low), float(high)


def ratio_bootstrap(
    numerators: ArrayLike, denominators: ArrayLike, *, seed: int = 0, resamples: int = 1000
) -> tuple[float, float, float]:
    """Return (Σ numerators / Σ denominators, low, high) resampled over items, 95%: bits per byte over documents."""
    top, bottom = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if top.size == 0 or bottom.sum() <= 0:
        return math.nan, math.nan, math.nan
    rng = np.random.default_rng(seed)
    picks = (rng.integers(0, top.size, top.size) for _ in range(resamples))
    ratios = np.array([top[pick].sum() / bottom[pick].sum() for pick in picks])
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(top.sum() / bottom.sum()), float(low), float(high)


def mean_reversed_rank(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return each model's mean reversed rank over the tasks (N = best of N models, 1 = worst, ties share the mean).

    ``scores[task][model]``, higher is better; every task must score every model. This is what the SmolLM3 charts
    call a win rate.
    """
    if not scores:
        return {}
    models = list(next(iter(scores.values())))
    totals = dict.fromkeys(models, 0.0)
    for task, row in scores.items():
        if set(row) != set(models):
            raise ValueError(f"mean_reversed_rank: task '{task}' scores {sorted(row)}, expected {sorted(models)}")
        for model in models:
            below = sum(row[other] < row[model] for other in models)
            equal = sum(row[other] == row[model] for other in models)
            totals[model] += below + (equal + 1) / 2
    return {model: total / len(scores) for model, total in totals.items()}
