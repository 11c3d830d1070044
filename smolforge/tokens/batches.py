"""Batches: stretches of documents in shards become rows of token ids and labels.

Input is open shards and where the stretches lie; output is the NumPy arrays that the trainer takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.tokens.packing import Ints, concatenate_ranges
from smolforge.tokens.shards import Shard

IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """``tokens`` and ``labels`` int64 (B, T), ``document`` int32 (B, T).

    Label t is token t+1 of the same document where that is a training target, else −100. ``document`` numbers the
    documents within a row from 0; −1 is padding.
    """

    tokens: NDArray[np.int64]
    labels: NDArray[np.int64]
    document: NDArray[np.int32]

    @property
    def targets(self) -> int:
        """How many labels count."""
        return int((self.labels != IGNORE).sum())


class TokenSpace:
    """All shards as one address space: global token positions, fetched shard by shard."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._base = np.cumsum([0, *(shard.header.tokens for shard in shards)], dtype=np.int64)

    def documents(self, first: int, count: int) -> tuple[Ints, Ints]:
        """Global (start, end) of every document of the shards ``first`` … ``first + count − 1``."""
        starts, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for i in range(first, first + count):
            shard_ends = self._shards[i].ends + self._base[i]
            ends.append(shard_ends)
            starts.append(np.concatenate([self._base[i : i + 1], shard_ends[:-1]])[: len(shard_ends)])
        return np.concatenate(starts), np.concatenate(ends)

    def fetch(self, positions: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Return (ids int64, is a target) at global ``positions``."""
        which = np.searchsorted(self._base, positions, side="right") - 1
        ids, targets = np.empty(len(positions), np.int64), np.ones(len(positions), np.bool_)
        for i in np.unique(which):
            here, shard = which == i, self._shards[i]
            local = positions[here] - self._base[i]
            ids[here] = shard.tokens[local]
            if shard.supervised is not None:
                targets[here] = shard.supervised[local] != 0
        return ids, targets


def useful_lengths(shards: Sequence[Shard], window: int) -> Ints:
    """Length of each document up to the last token that predicts a target; what follows cannot change any loss.

    0 for a document without a target, or whose first target lies beyond ``window``.
    """
    lengths = [np.empty(0, np.int64)]
    for shard in shards:
        starts = np.concatenate([np.zeros(1, np.int64), shard.ends[:-1]])[: len(shard)]
        if shard.supervised is None:
            lengths.append(shard.ends - starts - 1)
            continue
        targets = np.append(np.flatnonzero(shard.supervised), np.iinfo(np.int64).max)
        first = targets[np.searchsorted(targets, starts + 1)]  # nothing predicts the first token of a document
        last = targets[np.searchsorted(targets, shard.ends) - 1]
        lengths.append(np.where((first < shard.ends) & (first - starts <= window), last - starts, 0))
    return np.concatenate(lengths)


def fill_batch(
    tokens: TokenSpace, rows: Ints, number: Ints, start: Ints, length: Ints, end: Ints, shape: tuple[int, int], pad: int
) -> Batch:
    """Lay segments (row, number within the row, global start, length, end of the document) into arrays of ``shape``."""
    positions = concatenate_ranges(start, length)
    before = np.cumsum(length) - length
    row_begin = np.repeat(before[number == 0], np.bincount(rows, minlength=shape[0]))
    flat = np.repeat(rows * shape[1] - row_begin, length) + np.arange(len(positions))
    following = positions + 1
    inside = following < np.repeat(end, length)
    ids, _ = tokens.fetch(positions)
    next_ids, is_target = tokens.fetch(np.where(inside, following, positions))
    out: list[NDArray[Any]] = [
        np.full(shape, pad, np.int64),
        np.full(shape, IGNORE, np.int64),
        np.full(shape, -1, np.int32),
    ]
    out[0].reshape(-1)[flat] = ids
    out[1].reshape(-1)[flat] = np.where(inside & is_target, next_ids, IGNORE)
    out[2].reshape(-1)[flat] = np.repeat(number, length)
    return Batch(out[0], out[1], out[2])
