"""The one training loop: every stage from pretraining to preference tuning runs through here.

Input: a decoder, an Objective that turns a step number into batches and loss sums, a LoopConfig. Output: trained
weights in place, ``log.jsonl`` and checkpoints below the work folder. A step is a function of its number and the
weights before it, so a killed run that is started again ends with the same bytes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from smolforge.errors import DataError
from smolforge.model.decoder import Decoder
from smolforge.store import Progress
from smolforge.train import trainer_state
from smolforge.train.config import LoopConfig
from smolforge.train.optimizers import Optimizer
from smolforge.train.precision import autocast
from smolforge.train.ranks import Ranks

LOG = "log.jsonl"


class Objective(Protocol):
    """What is trained on and what is minimised. ``micro`` is whatever the objective's own batches are."""

    total_steps: int

    def phase(self, step: int) -> str:
        """Return the name of the phase that ``step`` belongs to."""

    def enter(self, decoder: Decoder, step: int) -> None:
        """Make the decoder ready for ``step``: what a phase changes about it (the RoPE base)."""

    def factor(self, step: int) -> float:
        """Return the factor on the peak learning rates."""

    def micro_batches(self, step: int) -> Sequence[Any]:
        """Return this rank's share of the step, one entry per accumulation."""

    def count(self, micro: Any) -> int:
        """Return how many terms the loss sum of ``micro`` has (valid tokens, or pairs)."""

    def tokens(self, micro: Any) -> int:
        """Return how many tokens of ``micro`` go through the model, padding left out."""

    def loss_sum(self, decoder: Decoder, micro: Any) -> Tensor:
        """Return the summed loss of ``micro``, a scalar."""


@dataclass
class Step:
    """What one step did: mean loss over the exact number of terms, gradient norm before clipping, tokens seen."""

    loss: float
    grad_norm: float
    tokens: int


def run_step(
    decoder: Decoder, objective: Objective, optimizer: Optimizer, step: int, ranks: Ranks, dtype: torch.dtype
) -> Step:
    """Do one optimizer step. DataError where no token of the whole step is supervised."""
    objective.enter(decoder, step)
    micros = objective.micro_batches(step)
    terms = ranks.sum_number(sum(objective.count(m) for m in micros))
    if terms == 0:
        raise DataError(
            f"step {step}: every label of the batch is masked; check the loss mask of phase '{objective.phase(step)}'"
        )
    device = decoder.embed.weight.device
    total = 0.0
    for micro in micros:
        if not objective.count(micro):
            continue
        with autocast(dtype, device):
            loss = objective.loss_sum(decoder, micro)
        (loss / terms).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    ranks.sum_gradients(decoder.parameters())
    norm = optimizer.step(objective.factor(step))
    tokens = sum(objective.tokens(m) for m in micros)
    return Step(ranks.sum_number(total) / terms, norm, int(ranks.sum_number(tokens)))


class Log:
    """``log.jsonl``: a row each ``every`` steps with means since the row before; cut back to the checkpoint on
    resume.
    """

    def __init__(self, work: Path, stage: str, every: int, done: int) -> None:
        self.path, self.stage, self.every = work / LOG, stage, every
        rows = [json.loads(line) for line in self._complete_lines()]
        rows = [row for row in rows if row["step"] <= done]
        self.path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.tokens = rows[-1]["tokens"] if rows else 0
        self.seconds = rows[-1]["seconds"] if rows else 0.0
        self.pending: list[Step] = []
        self.mark = time.perf_counter()

    def _complete_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        return [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def add(self, done: int, step: Step, phase: str, rate: float, last: bool) -> dict[str, Any] | None:
        """Take one step's figures; return the row when one is written."""
        self.pending.append(step)
        if done % self.every and not last:
            return None
        now = time.perf_counter()
        tokens = sum(s.tokens for s in self.pending)
        self.tokens, self.seconds = self.tokens + tokens, self.seconds + now - self.mark
        row = {
            "stage": self.stage,
            "phase": phase,
            "step": done,
            "tokens": self.tokens,
            "loss": sum(s.loss for s in self.pending) / len(self.pending),
            "lr": rate,
            "grad_norm": max(s.grad_norm for s in self.pending),
            "tokens_per_second": round(tokens / max(now - self.mark, 1e-9), 1),
            "seconds": round(self.seconds, 3),
        }
        with self.path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        self.pending, self.mark = [], now
        return row


def train(
    decoder: Decoder,
    objective: Objective,
    config: LoopConfig,
    work: Path,
    *,
    stage: str,
    dtype: torch.dtype,
    ranks: Ranks,
    progress: Progress,
    snapshot: Callable[[int], None],
) -> dict[str, float]:
    """Run all steps from the newest checkpoint in ``work`` on; return the last logged figures.

    ``snapshot(step)`` is called after the steps that the recipe lists. DataError where the loss stops being finite.
    """
    optimizer = Optimizer(decoder, config.optimizer)
    done = trainer_state.load(work, decoder, optimizer)
    if done:
        progress.note(f"{stage}: going on from step {done}")
    log = Log(work, stage, config.log_every, done)
    progress.start(objective.total_steps, "step")
    figures: dict[str, float] = {}
    while done < objective.total_steps:
        result = run_step(decoder, objective, optimizer, done, ranks, dtype)
        if not math.isfinite(result.loss):
            raise DataError(f"{stage}: the loss is {result.loss} at step {done}; lower the learning rate and run again")
        phase, rate = objective.phase(done), config.optimizer.learning_rate * objective.factor(done)
        done += 1
        row = log.add(done, result, phase, rate, done == objective.total_steps) if ranks.is_first else None
        if row:
            figures = {k: row[k] for k in ("loss", "tokens", "tokens_per_second", "seconds")}
            progress.update(done, loss=round(row["loss"], 4), tokens_per_second=row["tokens_per_second"], phase=phase)
        if done in config.snapshots and ranks.is_first:
            snapshot(done)
        if done % config.checkpoint_every == 0 and done < objective.total_steps:
            if ranks.is_first:
                trainer_state.save(work, done, decoder, optimizer)
            ranks.barrier()
    return figures
