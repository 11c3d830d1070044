"""The ranks of a training run: one process alone, or data-parallel replicas under ``torchrun``.

Every rank holds the whole model and takes its share of each step's rows; sums of gradients and of token counts meet in
all-reduce, so any number of ranks gives the loss of one. Tensor and context parallelism are not here yet and refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from smolforge.errors import ConfigError
from smolforge.train.config import ParallelConfig


@dataclass(frozen=True)
class Ranks:
    """This process's place: ``rank`` of ``world``."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this rank writes files and talks."""
        return self.rank == 0

    def sum_number(self, value: float) -> float:
        """Return the sum over ranks of a number."""
        if self.world == 1:
            return value
        cell = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(cell)
        return float(cell)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its sum over ranks, in one flat all-reduce."""
        if self.world == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        offset = 0
        for gradient in gradients:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.world > 1:
            dist.barrier()


def join(parallel: ParallelConfig) -> Ranks:
    """Join the run that ``torchrun`` started, or be alone. ConfigError where the recipe wants another number of
    ranks.
    """
    if parallel.tensor > 1 or parallel.context > 1:
        raise ConfigError("parallel: tensor and context above 1 are planned (dry run) but cannot be run yet; use data")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world != parallel.data:
        raise ConfigError(
            f"parallel.data is {parallel.data}, but {world} process(es) run; start with torchrun --nproc-per-node"
        )
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Ranks(dist.get_rank(), world) if world > 1 else Ranks()
