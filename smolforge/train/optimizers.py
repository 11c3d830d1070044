"""Optimizers: AdamW, and Muon for the layers' matrices with AdamW beside it for embedding, head and norms.

Input: a Decoder and an OptimizerConfig. Output: an Optimizer whose whole state is named float32 tensors, so that a
checkpoint is one safetensors file. Shapes: (out, in) for matrices; fused ones are orthogonalised part by part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smolforge.model.decoder import Decoder
from smolforge.train.config import OptimizerConfig

# Newton-Schulz by a different quintic each step, the best odd one on the interval the steps before it lead to (Amsel,
# Persson, Musco and Gower, "The Polar Express", arXiv:2505.16932): singular values from 0.01 of the Frobenius norm on
# end in [0.7, 1.3]. Three such steps do what takes five of one fixed polynomial (Keller Jordan, "Muon", 2024).
NEWTON_SCHULZ = (
    (7.5652, -21.5401, 15.7931),
    (3.6716, -2.7472, 0.5394),
    (2.7135, -2.0197, 0.4574),
)


TOGETHER = 1 << 24  # values orthogonalised in one call: many small matrices, or one large one


def orthogonalise(gradient_NOI: Tensor) -> Tensor:
    """Return, for each of N matrices, the nearest semi-orthogonal one, singular values in about [0.7, 1.3]."""
    tall = gradient_NOI.shape[-2] > gradient_NOI.shape[-1]
    x = gradient_NOI.mT if tall else gradient_NOI
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in NEWTON_SCHULZ:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = x.mT if tall else x
    return result


@dataclass
class Member:
    """One parameter with its name, the rows of its fused parts, and whether weight decay applies."""

    name: str
    parameter: nn.Parameter
    parts: tuple[int, ...]
    decays: bool


def members(decoder: Decoder) -> list[Member]:
    """List the trained parameters once each. Everything decays but the embedding, found by identity (a tied head
    follows).
    """
    embedding = decoder.embed.weight
    config = decoder.config
    qkv = (config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim, config.n_kv_heads * config.head_dim)
    fused = {"qkv": qkv, "gate_up": (config.intermediate_size, config.intermediate_size)}
    found = []
    for name, parameter in decoder.named_parameters():
        parts = next((rows for key, rows in fused.items() if key in name and parameter.ndim == 2), (len(parameter),))
        found.append(Member(name, parameter, parts, parameter is not embedding))
    return found


class Optimizer:
    """AdamW with decoupled decay (arXiv 1711.05101); with ``muon``, matrices inside layers take Muon's step instead.

    Global-norm clipping happens in :meth:`step`, over all gradients together.
    """

    def __init__(self, decoder: Decoder, config: OptimizerConfig) -> None:
        self.config = config
        inside = {id(p) for p in decoder.layers.parameters() if p.ndim == 2} if config.name == "muon" else set()
        everyone = members(decoder)
        self.matrices = [m for m in everyone if id(m.parameter) in inside]
        self.others = [m for m in everyone if id(m.parameter) not in inside]
        self.momentum = {m.name: torch.zeros_like(m.parameter) for m in self.matrices}
        groups = [
            {"params": [m.parameter for m in self.others if m.decays], "weight_decay": config.weight_decay},
            {"params": [m.parameter for m in self.others if not m.decays], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(
            [g for g in groups if g["params"]], lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=True
        )
        for member in self.others:
            self.adamw.state[member.parameter] = {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": torch.zeros_like(member.parameter),
                "exp_avg_sq": torch.zeros_like(member.parameter),
            }

    @torch.no_grad()
    def step(self, factor: float) -> float:
        """Clip, apply one step at ``factor`` × the peak rates, clear the gradients; return the norm before clipping."""
        parameters = [m.parameter for m in (*self.matrices, *self.others)]
        norm = float(nn.utils.clip_grad_norm_(parameters, self.config.grad_clip))
        for group in self.adamw.param_groups:
            group["lr"] = self.config.learning_rate * factor
        self.adamw.step()
        self._muon(self.config.matrix_learning_rate * factor)
        for parameter in parameters:
            parameter.grad = None
        return norm

    def _muon(self, rate: float) -> None:
        """Take Muon's step with every matrix; parts of one shape are orthogonalised together."""
        targets: dict[torch.Size, list[Tensor]] = {}
        updates: dict[torch.Size, list[Tensor]] = {}
        for member in self.matrices:
            gradient, momentum = member.parameter.grad, self.momentum[member.name]
            assert gradient is not None
            momentum.lerp_(gradient, 1 - self.config.momentum)
            nesterov = torch.lerp(gradient, momentum, self.config.momentum)
            member.parameter.mul_(1 - rate * self.config.weight_decay)
            parts = (torch.split(matrix, list(member.parts)) for matrix in (member.parameter, nesterov))
            for target, update in zip(*parts, strict=True):
                for rows, change in zip(self._blocks(target), self._blocks(update), strict=True):
                    targets.setdefault(rows.shape, []).append(rows)
                    updates.setdefault(rows.shape, []).append(change)
        for shape, changes in updates.items():
            # The factor keeps the update's root mean square alike for tall and wide matrices (Jordan, 2024).
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            together = max(1, TOGETHER // shape.numel())
            for first in range(0, len(changes), together):
                group = slice(first, first + together)
                orthogonal = orthogonalise(torch.stack(changes[group])).unbind()
                torch._foreach_add_(targets[shape][group], orthogonal, alpha=-rate * scale)

    def _blocks(self, part: Tensor) -> Sequence[Tensor]:
        block = self.config.block_rows
        return [part] if block is None or len(part) % block else torch.split(part, block)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the whole state as (name, tensor); the tensors are the live ones, so loading copies into them."""
        for name, value in self.momentum.items():
            yield f"momentum.{name}", value
        for member in self.others:
            for key, value in self.adamw.state[member.parameter].items():
                yield f"{key}.{member.name}", value
