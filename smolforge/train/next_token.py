"""The objective of pretraining, long-context extension, mid-training and SFT: predict the next supervised token.

Input: token shards by name and the phases of a recipe. Output: batches as a pure function of the step, and loss sums.
Each phase reads its own mixture from sample 0 under a seed of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from smolforge.errors import ConfigError, nearest
from smolforge.model.decoder import Decoder
from smolforge.store import digest_json
from smolforge.tokens.batches import Batch
from smolforge.tokens.epoch_caps import cap_of
from smolforge.tokens.mixture import MixtureSource, named_shards
from smolforge.tokens.reader import MixtureReader, Reading
from smolforge.tokens.shards import Shard
from smolforge.train.config import PhaseConfig, ScheduleConfig, TrainConfig
from smolforge.train.objectives import token_loss_sum
from smolforge.train.ranks import Ranks
from smolforge.train.schedules import check_schedule, learning_rate_factor


@dataclass(frozen=True)
class PhaseSpan:
    """A phase with its reader and the stretch of steps [first, first + steps) it covers."""

    config: PhaseConfig
    reader: MixtureReader
    first: int
    batch_sequences: int
    accumulation: int


def open_sources(root: Path, phase: PhaseConfig, tokenizer_digest: str) -> list[MixtureSource]:
    """Open the shards that a mixture names; a name may hold ``*``. ConfigError for an unknown one."""
    known = sorted(p.parent.relative_to(root).as_posix() for p in root.rglob("shard.json"))
    sources = []
    for pattern, weight in phase.mixture.items():
        names = named_shards(pattern, known)
        if not names:
            raise ConfigError(
                f"phase '{phase.name}': mixture names shard '{pattern}', which the tokenize stage did not write"
                f"{nearest(pattern, known)}; it wrote: {', '.join(known)}"
            )
        shards = [Shard.open(root / name) for name in names]
        for shard in shards:
            if shard.header.tokenizer != tokenizer_digest:
                raise ConfigError(
                    f"{shard.path}: made with another tokenizer than this run's; run the tokenize stage again"
                )
        sources.append(MixtureSource(pattern, shards, weight, cap_of(phase.max_epochs, pattern)))
    return sources


def phase_seed(seed: int, stage: str, phase: str) -> int:
    """Return the seed of a phase's order: the run's seed, the stage and the phase, hashed to 63 bits."""
    return int(digest_json([seed, stage, phase])[:16], 16) >> 1


def token_loss(decoder: Decoder, batch: Batch, device: torch.device) -> Tensor:
    """Return the summed cross entropy (nats) of a reader's batch; a batch of one document a row needs no mask."""
    one_each = bool((batch.document == 0).all())
    arrays = (batch.tokens, batch.labels, batch.document)
    tokens, labels, document = (torch.from_numpy(a).to(device, non_blocking=True) for a in arrays)
    return token_loss_sum(decoder, tokens, labels, None if one_each else document)


class NextToken:
    """See the module; implements ``smolforge.train.loop.Objective`` with ``Batch`` as its micro-batch."""

    def __init__(
        self,
        config: TrainConfig,
        shards: Path,
        tokenizer_digest: str,
        stage: str,
        seed: int,
        ranks: Ranks,
        device: torch.device,
    ) -> None:
        self.config, self.ranks, self.device = config, ranks, device
        self.total_steps = sum(phase.steps for phase in config.phases)
        self.spans: list[PhaseSpan] = []
        first = 0
        onward = config.reading == "onward"
        begin: dict[str, int] = {}  # samples of each source that the phases before have taken
        for phase in config.phases:
            rows = phase.batch_sequences or config.batch_sequences
            parts = phase.accumulation or config.accumulation
            samples = phase.steps * rows * parts * ranks.world
            reader = MixtureReader(
                open_sources(shards, phase, tokenizer_digest),
                phase.sequence_length or config.sequence_length,
                phase_seed(seed, stage, "" if onward else phase.name),
                config.packing,
                Reading(samples, phase.order, phase.at_cap, config.weights, dict(begin) if onward else {}),
            )
            reader.require(samples)
            for name, taken in reader.taken(samples).items():
                begin[name] = begin.get(name, 0) + taken
            if phase.schedule:
                check_schedule(phase.schedule, phase.steps)
            self.spans.append(PhaseSpan(phase, reader, first, rows, parts))
            first += phase.steps
        check_schedule(config.schedule, self.total_steps)

    def span(self, step: int) -> PhaseSpan:
        """Return the phase of a step."""
        return next(s for s in reversed(self.spans) if step >= s.first)

    def phase(self, step: int) -> str:
        """Return the phase's name."""
        return self.span(step).config.name

    def enter(self, decoder: Decoder, step: int) -> None:
        """Give the decoder the RoPE base of the step's phase: the last one stated up to it, also after a resume."""
        stated = (s.config.rope_theta for s in reversed(self.spans) if s.first <= step)
        theta = next((theta for theta in stated if theta is not None), None)
        if theta is not None and theta != decoder.config.rope_theta:
            decoder.use_rope_theta(theta)

    def schedule_of(self, step: int) -> tuple[ScheduleConfig, int, int]:
        """Return (schedule, step within it, its length): the phase's own where it has one, else the stage's."""
        span = self.span(step)
        if span.config.schedule:
            return span.config.schedule, step - span.first, span.config.steps
        return self.config.schedule, step, self.total_steps

    def factor(self, step: int) -> float:
        """Return the factor on the peak learning rates."""
        schedule, at, length = self.schedule_of(step)
        return learning_rate_factor(schedule, at, length) * self.span(step).config.learning_rate_scale

    def micro_batches(self, step: int) -> Sequence[Batch]:
        """Return this rank's batches: rows are dealt in order of (accumulation, rank)."""
        span = self.span(step)
        rows, world, parts = span.batch_sequences, self.ranks.world, span.accumulation
        cursor = (step - span.first) * rows * world * parts
        return [span.reader.batch(cursor + (part * world + self.ranks.rank) * rows, rows) for part in range(parts)]

    def count(self, micro: Batch) -> int:
        """Return the number of supervised labels."""
        return micro.targets

    def tokens(self, micro: Batch) -> int:
        """Return the number of tokens without padding."""
        return int((micro.document >= 0).sum())

    def loss_sum(self, decoder: Decoder, micro: Batch) -> Tensor:
        """Return the summed cross entropy of the batch."""
        return token_loss(decoder, micro, self.device)
