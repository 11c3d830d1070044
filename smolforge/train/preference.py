"""The objective of preference tuning: pairs of answers, against a frozen reference.

Input: the ``chosen`` and ``rejected`` shards, pair i of one beside pair i of the other. Output: batches by step, loss
sums. Reference log-probabilities are computed once per pair that the run will see, before the first step, and kept in
``work``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smolforge.model.decoder import Decoder
from smolforge.store.atomic import fsync_path
from smolforge.tokens.batches import Batch
from smolforge.tokens.pairs import PairReader
from smolforge.tokens.shards import Shard
from smolforge.train.config import PreferenceConfig
from smolforge.train.objectives import PREFERENCE_LOSSES, sequence_log_probabilities
from smolforge.train.ranks import Ranks
from smolforge.train.schedules import check_schedule, learning_rate_factor

REFERENCE = "reference.npy"


@dataclass(frozen=True)
class PairBatch:
    """Chosen and rejected rows with their reference log-probabilities, float32 (2, B)."""

    chosen: Batch
    rejected: Batch
    reference: NDArray[np.float32]


def log_probabilities(decoder: Decoder, batch: Batch, device: torch.device) -> Tensor:
    """Return (B,) summed log-probabilities of the supervised tokens."""
    arrays = (batch.tokens, batch.labels, batch.document)
    return sequence_log_probabilities(decoder, *(torch.from_numpy(a).to(device) for a in arrays))


class Preference:
    """See the module; implements ``smolforge.train.loop.Objective`` with ``PairBatch`` as its micro-batch."""

    def __init__(
        self, config: PreferenceConfig, shards: Path, digest: str, seed: int, ranks: Ranks, device: torch.device
    ) -> None:
        self.config, self.ranks, self.device = config, ranks, device
        self.total_steps = config.steps
        check_schedule(config.schedule, config.steps)
        chosen, rejected = (
            Shard.open(shards / config.pairs / side, tokenizer=digest) for side in ("chosen", "rejected")
        )
        self.reader = PairReader(chosen, rejected, config.max_length, seed)
        self.reference: NDArray[np.float32] = np.empty((2, 0), np.float32)

    @torch.no_grad()
    def prepare(self, reference: Decoder, work: Path) -> None:
        """Compute the reference log-probabilities of every sample of the run (or read them back)."""
        path = work / REFERENCE
        if not path.exists():
            total = self.total_steps * self.config.batch_sequences * self.config.accumulation * self.ranks.world
            table = np.empty((2, total), np.float32)
            rows = self.config.batch_sequences
            for start in range(0, total, rows):
                for side, batch in enumerate(self.reader.batch(start, min(rows, total - start))):
                    table[side, start : start + rows] = log_probabilities(reference, batch, self.device).cpu().numpy()
            part = path.with_suffix(".part.npy")
            np.save(part, table)
            fsync_path(part)
            part.replace(path)
        self.reference = np.load(path, allow_pickle=False)

    def phase(self, step: int) -> str:
        """Return the loss's name: preference tuning has one phase."""
        return self.config.loss

    def enter(self, decoder: Decoder, step: int) -> None:
        """Nothing changes between steps."""

    def factor(self, step: int) -> float:
        """Return the factor on the peak learning rates."""
        return learning_rate_factor(self.config.schedule, step, self.total_steps)

    def micro_batches(self, step: int) -> Sequence[PairBatch]:
        """Return this rank's pairs, dealt in order of (accumulation, rank)."""
        rows, world, parts = self.config.batch_sequences, self.ranks.world, self.config.accumulation
        micros = []
        for part in range(parts):
            cursor = ((step * parts + part) * world + self.ranks.rank) * rows
            chosen, rejected = self.reader.batch(cursor, rows)
            micros.append(PairBatch(chosen, rejected, self.reference[:, cursor : cursor + rows]))
        return micros

    def count(self, micro: PairBatch) -> int:
        """Return the number of pairs."""
        return len(micro.chosen.tokens)

    def tokens(self, micro: PairBatch) -> int:
        """Return the number of tokens of both sides without padding."""
        return int((micro.chosen.document >= 0).sum() + (micro.rejected.document >= 0).sum())

    def loss_sum(self, decoder: Decoder, micro: PairBatch) -> Tensor:
        """Return the summed preference loss of the pairs."""
        reference = torch.from_numpy(micro.reference).to(self.device)
        chosen = log_probabilities(decoder, micro.chosen, self.device) - reference[0]
        rejected = log_probabilities(decoder, micro.rejected, self.device) - reference[1]
        return PREFERENCE_LOSSES[self.config.loss](chosen, rejected, self.config.beta)
