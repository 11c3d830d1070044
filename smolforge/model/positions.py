"""Rotary positions: frequencies (plain and YaRN) and the cos and sin tables that attention multiplies with.

Input: a ``ModelConfig``. Output: float32 tables over positions, in the half-split form (dimension i pairs with
i + head_dim/2). Layers whose ``no_rope_layers`` entry is 0 simply do not use them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smolforge.model.config import ModelConfig, YarnConfig


def inverse_frequencies(config: ModelConfig) -> tuple[Tensor, float]:
    """Return float32 (head_dim/2,) radians per position, and the factor on cos and sin (1.0 without YaRN)."""
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    frequencies = 1.0 / config.rope_theta**exponent
    if config.rope_scaling is None:
        return frequencies, 1.0
    return _yarn(frequencies, config.rope_scaling, config), attention_factor(config.rope_scaling)


def attention_factor(yarn: YarnConfig) -> float:
    """Return the factor on cos and sin: as configured, or 0.1 ln(factor) + 1 (arXiv:2309.00071 section 3.4)."""
    return yarn.attention_factor if yarn.attention_factor is not None else 0.1 * math.log(yarn.factor) + 1.0


def _yarn(frequencies: Tensor, yarn: YarnConfig, config: ModelConfig) -> Tensor:
    """Divide slow frequencies by the factor, keep fast ones, ramp linearly between (section 3.2, "NTK by parts")."""
    half = config.head_dim // 2

    def dimension(rotations: float) -> float:
        """Return the (fractional) index of the frequency that turns ``rotations`` times over the original context."""
        wavelength = yarn.original_max_position_embeddings / (rotations * 2 * math.pi)
        return half * math.log(wavelength) / math.log(config.rope_theta)

    low, high = dimension(yarn.beta_fast), dimension(yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, config.head_dim - 1)
    if low == high:
        high += 0.001  # the ramp becomes a step
    slow = ((torch.arange(half, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
    return frequencies / yarn.factor * slow + frequencies * (1 - slow)


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
