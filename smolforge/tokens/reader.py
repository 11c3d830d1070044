"""The reader: batches of token windows from a mixture of shards, and its whole state is one integer.

Input is open shards with weights; output is NumPy batches for the trainer. ``batch(cursor, count)`` is a pure function
of the cursor (the number of the next sample of the whole run), so neither world size nor a restart changes the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import ConfigError, DataError
from smolforge.tokens.mixture import Interleave, MixtureSource
from smolforge.tokens.packing import Ints, Windows, concatenate_ranges, document_order, pack_stream, pack_whole
from smolforge.tokens.permutation import permutation_key, permute
from smolforge.tokens.shards import Shard

IGNORE = -100
Packing = Literal["stream", "whole"]


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


class _Tokens:
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


def _useful_lengths(shards: Sequence[Shard], window: int) -> Ints:
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


class MixtureReader:
    """Windows of ``sequence_length`` tokens from weighted sources; see ``batch``.

    ``packing="stream"`` lays documents end to end (in a keyed order) and cuts; ``"whole"`` packs whole documents
    without the tail that predicts no target. ConfigError for bad weights, DataError for a source without windows.
    """

    def __init__(
        self, sources: Sequence[MixtureSource], sequence_length: int, seed: int, packing: Packing = "stream",
        *, pad_token: int = 0,
    ) -> None:  # fmt: skip
        if sequence_length < 1:
            raise ConfigError(f"sequence_length {sequence_length}, expected at least 1")
        if packing not in ("stream", "whole"):
            raise ConfigError(f"packing '{packing}', expected stream or whole")
        self.sources, self.sequence_length, self.seed, self.packing = list(sources), sequence_length, seed, packing
        self._pad = pad_token
        self._interleave = Interleave([s.name for s in sources], [s.weight for s in sources])
        self._tokens = _Tokens([shard for source in sources for shard in source.shards])
        self._build()
        self._keys: dict[tuple[int, int], NDArray[np.uint64]] = {}

    def _build(self) -> None:
        """One table of windows for all sources: a segment is (global start, length, global end of its document)."""
        first, start, length, end, shard = [np.zeros(1, np.int64)], [], [], [], 0
        self.windows: dict[str, int] = {}
        self.truncated: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        for source in self.sources:
            starts, ends = self._tokens.documents(shard, len(source.shards))
            shard += len(source.shards)
            windows = self._pack(source, ends - starts)
            if len(windows) == 0:
                raise DataError(f"mixture source '{source.name}': no document with anything to predict")
            self.windows[source.name] = len(windows)
            self.truncated[source.name], self.dropped[source.name] = windows.truncated, windows.dropped
            first.append(first[-1][-1] + windows.first[1:])
            start.append(starts[windows.document] + windows.offset)
            length.append(windows.length)
            end.append(ends[windows.document])
        self._first, self._start, self._length, self._end = map(np.concatenate, (first, start, length, end))
        self._size = np.array(list(self.windows.values()), dtype=np.int64)
        self._offset = np.cumsum(self._size) - self._size

    def _pack(self, source: MixtureSource, lengths: Ints) -> Windows:
        order = document_order(len(lengths), self.seed, source.name)
        if self.packing == "stream":
            return pack_stream(lengths, order, self.sequence_length)
        return pack_whole(_useful_lengths(source.shards, self.sequence_length), order, self.sequence_length)

    @property
    def total_windows(self) -> int:
        """Windows of all sources together: one epoch, where there is one source."""
        return int(self._size.sum())

    def epochs(self, samples: int) -> dict[str, float]:
        """Return how often each source has been seen after ``samples`` samples."""
        taken = self._interleave.taken(samples)
        return {s.name: float(taken[i] / self._size[i]) for i, s in enumerate(self.sources)}

    def require(self, samples: int) -> None:
        """ConfigError if ``samples`` samples would show a source more often than its ``max_epochs``."""
        for source, seen in zip(self.sources, self.epochs(samples).values(), strict=True):
            if source.max_epochs is not None and seen > source.max_epochs:
                have = int(self.windows[source.name] * source.max_epochs)
                raise ConfigError(
                    f"mixture source '{source.name}': {samples} samples want {round(seen * self.windows[source.name])}"
                    f" windows ({seen:.2f} epochs), but max_epochs {source.max_epochs:g} allows {have};"
                    " lower its weight, raise max_epochs or add data"
                )

    def locate(self, cursor: int, count: int) -> list[tuple[str, int, int]]:
        """Return (source name, epoch, window of that source) of each sample, for messages and tests."""
        source, epoch, window = self._locate(cursor, count)
        return [
            (self.sources[s].name, e, w)
            for s, e, w in zip(source.tolist(), epoch.tolist(), window.tolist(), strict=True)
        ]

    def _locate(self, cursor: int, count: int) -> tuple[Ints, Ints, Ints]:
        source, ordinal = self._interleave.locate(np.arange(cursor, cursor + count, dtype=np.int64))
        epoch, place = np.divmod(ordinal, self._size[source])
        keys = np.stack([self._key(s, e) for s, e in zip(source.tolist(), epoch.tolist(), strict=True)])
        return source, epoch, permute(place, self._size[source], keys)

    def _key(self, source: int, epoch: int) -> NDArray[np.uint64]:
        if (source, epoch) not in self._keys:
            if len(self._keys) > 4096:
                self._keys.clear()
            self._keys[source, epoch] = permutation_key("windows", self.seed, self.sources[source].name, epoch)
        return self._keys[source, epoch]

    def batch(self, cursor: int, count: int) -> Batch:
        """Return the ``count`` samples from ``cursor`` on as rows of one batch. ConfigError past a ``max_epochs``."""
        if cursor < 0 or count < 1:
            raise ConfigError(f"batch({cursor}, {count}): expected a cursor from 0 and a count from 1")
        if any(source.max_epochs is not None for source in self.sources):
            self.require(cursor + count)
        source, _, window = self._locate(cursor, count)
        row_first = self._first[window + self._offset[source]]
        row_segments = self._first[window + self._offset[source] + 1] - row_first
        segments = concatenate_ranges(row_first, row_segments)
        number = concatenate_ranges(np.zeros(count, np.int64), row_segments)
        rows = np.repeat(np.arange(count), row_segments)
        return fill_batch(
            self._tokens, rows, number, self._start[segments], self._length[segments], self._end[segments],
            (count, self.sequence_length), self._pad,
        )  # fmt: skip


def fill_batch(
    tokens: _Tokens, rows: Ints, number: Ints, start: Ints, length: Ints, end: Ints, shape: tuple[int, int], pad: int
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


class PairReader:
    """Preference pairs: document i of ``chosen`` with document i of ``rejected``, in a keyed order per epoch."""

    def __init__(
        self, chosen: Shard, rejected: Shard, sequence_length: int, seed: int, *, max_epochs: float | None = None,
        pad_token: int = 0,
    ) -> None:  # fmt: skip
        if len(chosen) != len(rejected) or len(chosen) == 0:
            raise DataError(
                f"{chosen.path}: {len(chosen)} chosen documents, {rejected.path}: {len(rejected)} rejected; "
                "expected the same number, at least one"
            )
        self.sequence_length, self.seed, self.max_epochs, self._pad = sequence_length, seed, max_epochs, pad_token
        self._tokens = _Tokens([chosen, rejected])
        self._documents = [self._tokens.documents(side, 1) for side in (0, 1)]
        self._lengths = [_useful_lengths([shard], sequence_length) for shard in (chosen, rejected)]
        shorter, longer = np.minimum(*self._lengths), np.maximum(*self._lengths)
        if not shorter.all():
            raise DataError(
                f"{chosen.path}: pair {int(shorter.argmin())} has nothing to predict in {sequence_length} tokens"
            )
        self.pairs, self.truncated = len(chosen), int((longer > sequence_length).sum())

    def batch(self, cursor: int, count: int) -> tuple[Batch, Batch]:
        """Return (chosen, rejected), both (count, T): T is the longest answer of the two batches, at most the limit."""
        ordinal = np.arange(cursor, cursor + count, dtype=np.int64)
        if self.max_epochs is not None and cursor + count > self.pairs * self.max_epochs:
            raise ConfigError(
                f"preference pairs: sample {cursor + count} wanted, but {self.pairs} pairs × {self.max_epochs:g} epochs"
                f" allow {int(self.pairs * self.max_epochs)}"
            )
        epoch, place = np.divmod(ordinal, self.pairs)
        keys = np.stack([permutation_key("pairs", self.seed, e) for e in epoch.tolist()])
        pair = permute(place, self.pairs, keys)
        lengths = [np.minimum(useful[pair], self.sequence_length) for useful in self._lengths]
        shape = (count, int(max(side.max() for side in lengths)))
        rows, number = np.arange(count), np.zeros(count, np.int64)
        batches = []
        for (starts, ends), length in zip(self._documents, lengths, strict=True):
            batches.append(fill_batch(self._tokens, rows, number, starts[pair], length, ends[pair], shape, self._pad))
        return batches[0], batches[1]
