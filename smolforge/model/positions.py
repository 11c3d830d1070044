"""Rotary positions: the cos and sin tables that attention multiplies with (frequencies: ``smolforge.formats.rope``).

Input: a ``ModelConfig``. Output: float32 tables over positions, in the half-split form (dimension i pairs with
i + head_dim/2). Layers whose ``no_rope_layers`` entry is 0 simply do not use them.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from smolforge.formats import rope
from smolforge.model.config import ModelConfig


def inverse_frequencies(config: ModelConfig) -> tuple[Tensor, float]:
    """Return float32 (head_dim/2,) radians per position, and the factor on cos and sin (1.0 without YaRN)."""
    yarn = config.rope_scaling
    scaling = None if yarn is None else {"rope_type": "yarn", **asdict(yarn)}
    frequencies, factor = rope.inverse_frequencies(config.head_dim, config.rope_theta, scaling)
    return torch.from_numpy(frequencies), factor


class RotaryTable:
    """Cos and sin rows for positions 0 … n − 1, grown on demand and kept per device; not part of the weights."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._table: Tensor | None = None

    def rows(self, count: int, device: torch.device) -> Tensor:
        """Return float32 (count, 2, head_dim/2): [:, 0] cos, [:, 1] sin, of positions 0 … count − 1."""
        if self._table is None or self._table.shape[0] < count or self._table.device != device:
            self._table = self._build(max(count, 256)).to(device)
        return self._table[:count]

    def _build(self, count: int) -> Tensor:
        frequencies, factor = inverse_frequencies(self._config)
        angles = torch.outer(torch.arange(count, dtype=torch.float32), frequencies)
        return torch.stack((angles.cos(), angles.sin()), dim=1) * factor
