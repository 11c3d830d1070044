"""Preference pairs: batches of chosen and rejected answers, a pure function of the number of the next pair.

Input is two shards with the same documents row by row; output is two NumPy batches for preference tuning.
"""

from __future__ import annotations

import numpy as np

from smolforge.errors import ConfigError, DataError
from smolforge.tokens.batches import Batch, TokenSpace, fill_batch, useful_lengths
from smolforge.tokens.permutation import permutation_key, permute
from smolforge.tokens.shards import Shard


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
        self._tokens = TokenSpace([chosen, rejected])
        self._documents = [self._tokens.documents(side, 1) for side in (0, 1)]
        self._lengths = [useful_lengths([shard], sequence_length) for shard in (chosen, rejected)]
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
