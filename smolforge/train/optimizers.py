"""Optimizers: AdamW, and Muon for the layers' matrices with AdamW beside it for embedding, head and norms.

Input: a Decoder and an OptimizerConfig. Output: an Optimizer whose whole state is named float32 tensors, so that a
checkpoint is one safetensors file. Shapes: (out, in) for matrices; fused ones are orthogonalised part by part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smolforge.model.decoder import Decoder
from smolforge.train.config import OptimizerConfig

# Quintic Newton-Schulz coefficients: the slope at zero is maximal while singular values end in about [0.7, 1.2]
# (Keller Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(gradient_NOI: Tensor, steps: int = 5) -> Tensor:
    """Return, for each of N matrices, the nearest semi-orthogonal one, singular values in about [0.7, 1.2]."""
    a, b, c = NEWTON_SCHULZ
    tall = gradient_NOI.shape[-2] > gradient_NOI.shape[-1]
    x = gradient_NOI.mT if tall else gradient_NOI
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
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
        for member in self.matrices:
            self._muon(member, self.config.matrix_learning_rate * factor)
        for parameter in parameters:
            parameter.grad = None
        return norm

    def _muon(self, member: Member, rate: float) -> None:
        gradient = member.parameter.grad
        assert gradient is not None
        momentum = self.momentum[member.name]
        momentum.lerp_(gradient, 1 - self.config.momentum)
        nesterov = torch.lerp(gradient, momentum, self.config.momentum)
        member.parameter.mul_(1 - rate * self.config.weight_decay)
        rows = 0
        for size in member.parts:
            part = nesterov[rows : rows + size]
            block = self.config.block_rows
            whole = block is None or size % block
            update = orthogonalise(part[None] if whole else part.view(-1, block or size, part.shape[1]))
            # The factor keeps the update's root mean square alike for tall and wide matrices (Jordan, 2024).
            scale = max(1.0, update.shape[1] / update.shape[2]) ** 0.5
            member.parameter[rows : rows + size].add_(update.reshape(part.shape), alpha=-rate * scale)
            rows += size

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the whole state as (name, tensor); the tensors are the live ones, so loading copies into them."""
        for name, value in self.momentum.items():
            yield f"momentum.{name}", value
        for member in self.others:
            for key, value in self.adamw.state[member.parameter].items():
                yield f"{key}.{member.name}", value
