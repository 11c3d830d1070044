"""Mixtures: which source the n-th sample comes from.

Input is named sources with weights; output, for any sample number, is (source, how many samples of that source came
before), a pure function. The interleave stays within one sample of the weights at every moment.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import ConfigError, DataError
from smolforge.tokens.shards import Shard

NOT_FOR_PATTERNS = ("held_out-", "preferences/")
PERIOD = 1 << 16  # weights are rounded to 1/65,536; the pattern repeats after so many samples


@dataclass(frozen=True)
class MixtureSource:
    """Documents that share a weight (share of the tokens) and a cap on how often they may be seen."""

    name: str
    shards: Sequence[Shard]
    weight: float
    max_epochs: float | None = None

    def difficulty(self) -> NDArray[np.float32]:
        """Return the difficulty of each document, float32 (documents,); DataError where a shard has none."""
        parts = [np.empty(0, np.float32)]
        for shard in self.shards:
            if shard.difficulty is None:
                raise DataError(
                    f"mixture source '{self.name}': {shard.path} has no difficulty to order documents by; set "
                    "tokenize.difficulty (e.g. compression) and tokenize again"
                )
            parts.append(shard.difficulty)
        return np.concatenate(parts)


def named_shards(pattern: str, known: Iterable[str]) -> list[str]:
    """Return the shards that a name of a mixture stands for; in it, ``*`` is any text: ``text-*``, ``*.fr``.

    A pattern never reaches held-out text or preference pairs, unless it begins as their names do.
    """
    if "*" not in pattern:
        return [name for name in known if name == pattern]
    apart = [prefix for prefix in NOT_FOR_PATTERNS if not pattern.startswith(prefix)]
    return [name for name in known if fnmatchcase(name, pattern) and not name.startswith(tuple(apart))]


class Interleave:
    """The order of sources. ``locate(n)`` is exact for any n and needs no state."""

    def __init__(self, names: Sequence[str], weights: Sequence[float]) -> None:
        for name, weight in zip(names, weights, strict=True):
            if not (math.isfinite(weight) and weight > 0):
                raise ConfigError(f"mixture source '{name}': weight {weight}, expected a number above 0")
        if not names:
            raise ConfigError("a mixture needs at least one source")
        self.counts = _round_weights(tuple(weights))
        self._source, self._rank = _pattern(self.counts)

    def locate(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (source, ordinal within that source), both int64 (m,), for sample numbers (m,)."""
        cycle, place = np.divmod(samples, PERIOD)
        source = self._source[place]
        return source, cycle * np.asarray(self.counts)[source] + self._rank[place]

    def taken(self, samples: int) -> NDArray[np.int64]:
        """Return how many of the first ``samples`` come from each source, int64 (sources,)."""
        cycle, place = divmod(samples, PERIOD)
        part = np.bincount(self._source[:place], minlength=len(self.counts))
        return (cycle * np.asarray(self.counts) + part).astype(np.int64)


def _round_weights(weights: tuple[float, ...]) -> tuple[int, ...]:
    """Integers that sum to PERIOD, by largest remainder; no source falls to zero."""
    share = np.asarray(weights) / math.fsum(weights) * PERIOD
    counts = np.maximum(np.floor(share).astype(np.int64), 1)
    while (missing := PERIOD - int(counts.sum())) != 0:
        gap = share - counts
        step = 1 if missing > 0 else -1
        gap[(counts <= 1) & (step < 0)] = np.inf
        chosen = np.argsort(-step * gap, kind="stable")[: abs(missing)]
        counts[chosen] += step
    return tuple(int(count) for count in counts)


@lru_cache(maxsize=32)
def _pattern(counts: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Earliest deadline first over release times and deadlines of Tijdeman's chairman assignment (1980).

    The j-th sample of a source of share w may be taken from time (j + d) / w and must be by (j + 1 − d) / w, with
    d = 1 / (2k − 2) for k sources: then every prefix is within 1 − d of its share.
    """
    k = len(counts)
    if k == 1:
        return np.zeros(PERIOD, np.int64), np.arange(PERIOD, dtype=np.int64)
    slack = 2 * k - 2
    # times are integers scaled by slack × PERIOD / count, compared as exact fractions through the common factor below
    waiting = [(_release(0, count, slack), s, 0) for s, count in enumerate(counts)]
    heapq.heapify(waiting)
    ready: list[tuple[float, int, int]] = []
    source, rank = np.empty(PERIOD, np.int64), np.empty(PERIOD, np.int64)
    for n in range(1, PERIOD + 1):
        while waiting and waiting[0][0] <= n:
            _, s, j = heapq.heappop(waiting)
            heapq.heappush(ready, (((j + 1) * slack - 1) * PERIOD / (counts[s] * slack), s, j))
        _, s, j = heapq.heappop(ready)
        source[n - 1], rank[n - 1] = s, j
        heapq.heappush(waiting, (_release(j + 1, counts[s], slack), s, j + 1))
    return source, rank


def _release(j: int, count: int, slack: int) -> int:
    """First integer n with n × count / PERIOD − j ≥ 1 / slack."""
    return -(-((j * slack + 1) * PERIOD) // (count * slack))
