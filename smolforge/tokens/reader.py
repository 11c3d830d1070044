"""The reader: batches of token windows from a mixture of shards, and its whole state is one integer.

Input is open shards with weights; output is NumPy batches for the trainer. ``batch(cursor, count)`` is a pure function
of the cursor (the number of the next sample of the whole run), so neither world size nor a restart changes the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import ConfigError, DataError
from smolforge.tokens.batches import IGNORE, Batch, TokenSpace, fill_batch, useful_lengths
from smolforge.tokens.curriculum import BINS, Order, difficulty_bins, paced
from smolforge.tokens.epoch_caps import within_limits
from smolforge.tokens.mixture import PERIOD, Interleave, MixtureSource
from smolforge.tokens.packing import Ints, Windows, concatenate_ranges, document_order, join, pack_stream, pack_whole
from smolforge.tokens.permutation import permutation_key, permute

__all__ = ["IGNORE", "Batch", "MixtureReader", "Packing", "Reading"]

Packing = Literal["stream", "whole"]


@dataclass(frozen=True)
class Reading:
    """How a phase reads its sources.

    ``samples``: how many samples the phase takes, which ``order`` and ``at_cap: redistribute`` need to know.
    ``weights``: shares are of tokens, or of windows. ``begin``: samples of each source that earlier phases have read.
    """

    samples: int = 0
    order: Order = "shuffled"
    at_cap: Literal["refuse", "redistribute"] = "refuse"
    weights: Literal["tokens", "windows"] = "tokens"
    begin: Mapping[str, int] = field(default_factory=dict)


class MixtureReader:
    """Windows of ``sequence_length`` tokens from weighted sources; see ``batch``.

    ``packing="stream"`` lays documents end to end (in a keyed order) and cuts; ``"whole"`` packs whole documents
    without the tail that predicts no target. ConfigError for bad weights or caps, DataError for a source without
    windows, or without the difficulty that an order needs.
    """

    def __init__(
        self, sources: Sequence[MixtureSource], sequence_length: int, seed: int, packing: Packing = "stream",
        reading: Reading | None = None, *, pad_token: int = 0,
    ) -> None:  # fmt: skip
        if sequence_length < 1:
            raise ConfigError(f"sequence_length {sequence_length}, expected at least 1")
        if packing not in ("stream", "whole"):
            raise ConfigError(f"packing '{packing}', expected stream or whole")
        self.sources, self.sequence_length, self.seed, self.packing = list(sources), sequence_length, seed, packing
        self.reading = reading or Reading()
        self._pad = pad_token
        self._tokens = TokenSpace([shard for source in sources for shard in source.shards])
        self._build()
        self._interleave = Interleave([s.name for s in sources], self._window_weights())
        self._begin = np.array([self.reading.begin.get(s.name, 0) for s in sources], dtype=np.int64)
        self._taken = self._interleave.taken(self.reading.samples)
        self._keys: dict[tuple[int, int, int], NDArray[np.uint64]] = {}

    def _build(self) -> None:
        """One table of windows for all sources: a segment is (global start, length, global end of its document)."""
        first, start, length, end, shard = [np.zeros(1, np.int64)], [], [], [], 0
        self.windows: dict[str, int] = {}
        self.truncated: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        self._edges: list[Ints] = []  # of each source: the first window of each bin of difficulty, and the last + 1
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
        self._fill = [int(part.sum()) / len(part_first) for part, part_first in zip(length, first[1:], strict=True)]
        self._first, self._start, self._length, self._end = map(np.concatenate, (first, start, length, end))
        self._size = np.array(list(self.windows.values()), dtype=np.int64)
        self._offset = np.cumsum(self._size) - self._size

    def _pack(self, source: MixtureSource, lengths: Ints) -> Windows:
        """Pack a source; where documents have an order, each bin of difficulty by itself."""
        order = document_order(len(lengths), self.seed, source.name)
        useful = lengths if self.packing == "stream" else useful_lengths(source.shards, self.sequence_length)
        pack = pack_stream if self.packing == "stream" else pack_whole
        if self.reading.order == "shuffled":
            windows = pack(useful, order, self.sequence_length)
            self._edges.append(np.array([0, len(windows)], np.int64))
            return windows
        bins = difficulty_bins(source.difficulty(), useful, self.reading.order)
        ordered = [order[bins[order] == b] for b in range(BINS)]
        parts = [pack(useful, documents, self.sequence_length) for documents in ordered]
        self._edges.append(np.cumsum([0, *map(len, parts)], dtype=np.int64))
        return join(parts)

    def _window_weights(self) -> list[float]:
        """Turn weights into shares of windows: by their mean filling, and within the caps if they are to be spread.

        Streams fill every window but a source's last.
        """
        weights = [source.weight for source in self.sources]
        if self.packing == "whole" and self.reading.weights == "tokens":
            weights = [weight / fill for weight, fill in zip(weights, self._fill, strict=True)]
        samples = self.reading.samples
        if self.reading.at_cap == "refuse" or not samples:
            return weights
        slack = 1 + samples / PERIOD  # an interleave's share is exact to one sample and one part in PERIOD
        left = [self._left(source, slack) for source in self.sources]
        return [max(given, 1e-9) for given in within_limits(weights, left, samples)]

    def _left(self, source: MixtureSource, slack: float) -> float | None:
        """Windows of a source that its cap still allows; None is no limit."""
        if source.max_epochs is None:
            return None
        allowed = self.windows[source.name] * source.max_epochs - self.reading.begin.get(source.name, 0)
        return max(0.0, allowed - slack)

    @property
    def total_windows(self) -> int:
        """Windows of all sources together: one epoch, where there is one source."""
        return int(self._size.sum())

    def taken(self, samples: int) -> dict[str, int]:
        """Return how many of the first ``samples`` samples come from each source."""
        counts = self._interleave.taken(samples).tolist()
        return {source.name: count for source, count in zip(self.sources, counts, strict=True)}

    def epochs(self, samples: int) -> dict[str, float]:
        """Return how often each source has been seen after ``samples`` samples, earlier phases it goes on from
        included."""
        taken = self._interleave.taken(samples) + self._begin
        return {s.name: float(taken[i] / self._size[i]) for i, s in enumerate(self.sources)}

    def require(self, samples: int) -> None:
        """ConfigError if ``samples`` samples would show a source more often than its ``max_epochs``."""
        for source, seen in zip(self.sources, self.epochs(samples).values(), strict=True):
            if source.max_epochs is not None and seen > source.max_epochs:
                have = math.floor(self.windows[source.name] * source.max_epochs)
                raise ConfigError(
                    f"mixture source '{source.name}': {samples} samples want {round(seen * self.windows[source.name])}"
                    f" windows ({seen:.2f} epochs), but max_epochs {source.max_epochs:g} allows {have};"
                    " lower its weight, raise max_epochs, add data, or set at_cap: redistribute"
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
        ordinal = ordinal + self._begin[source]
        bins, first, size = np.zeros(count, np.int64), np.zeros(count, np.int64), self._size[source]
        if self.reading.order != "shuffled":
            for s in np.unique(source).tolist():
                here = source == s
                bins[here], ordinal[here], first[here], size[here] = paced(
                    ordinal[here], self._edges[s], int(self._taken[s])
                )
        epoch, place = np.divmod(ordinal, size)
        keys = np.stack([self._key(*at) for at in zip(source.tolist(), epoch.tolist(), bins.tolist(), strict=True)])
        return source, epoch, first + permute(place, size, keys)

    def _key(self, source: int, epoch: int, bin: int) -> NDArray[np.uint64]:
        if (source, epoch, bin) not in self._keys:
            if len(self._keys) > 4096:
                self._keys.clear()
            parts = ("windows", self.seed, self.sources[source].name, epoch)
            ordered = () if self.reading.order == "shuffled" else (bin,)
            self._keys[source, epoch, bin] = permutation_key(*parts, *ordered)
        return self._keys[source, epoch, bin]

    def batch(self, cursor: int, count: int) -> Batch:
        """Return the ``count`` samples from ``cursor`` on as rows of one batch. ConfigError past a ``max_epochs``, or
        past the samples that an order was made for."""
        if cursor < 0 or count < 1:
            raise ConfigError(f"batch({cursor}, {count}): expected a cursor from 0 and a count from 1")
        if self.reading.order != "shuffled" and cursor + count > self.reading.samples:
            raise ConfigError(f"batch({cursor}, {count}): the order was made for {self.reading.samples} samples")
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
