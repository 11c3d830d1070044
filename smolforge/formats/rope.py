"""Rotary frequencies: plain, YaRN, Llama 3's scaling and the factors a GGUF file carries, in float32 NumPy.

In: head size, theta and the ``rope_scaling`` of a flat config (``smolforge.formats.hf_config``). Out: radians per
position for each pair of dimensions, and the factor on cos and sin. The torch model and the engine share this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def plain_frequencies(head_dim: int, theta: float) -> Floats:
    """Return float32 (head_dim/2,): theta^(-2i/head_dim) radians per position (RoFormer, arXiv:2104.09864)."""
    exponent = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    powers = np.power(theta, exponent.astype(np.float64)).astype(np.float32)  # rounded once, alike on every machine
    frequencies: Floats = np.float32(1) / powers
    return frequencies


def inverse_frequencies(head_dim: int, theta: float, scaling: Mapping[str, Any] | None) -> tuple[Floats, float]:
    """Return float32 (head_dim/2,) radians per position, and the factor on cos and sin (1.0 but for YaRN).

    ``scaling``: None, or a dict whose ``rope_type`` is "yarn", "llama3" or "factors".
    """
    plain = plain_frequencies(head_dim, theta)
    if scaling is None:
        return plain, 1.0
    kind = scaling["rope_type"]
    if kind == "yarn":
        return _yarn(plain, theta, scaling), yarn_attention_factor(scaling)
    if kind == "llama3":
        return _llama3(plain, scaling), 1.0
    assert kind == "factors", kind
    return np.divide(plain, np.array(scaling["factors"]), dtype=np.float32), 1.0


def yarn_attention_factor(scaling: Mapping[str, Any]) -> float:
    """Return the factor on cos and sin: as configured, or 0.1 ln(factor) + 1 (arXiv:2309.00071 section 3.4)."""
    chosen = scaling.get("attention_factor")
    return float(chosen) if chosen is not None else 0.1 * math.log(scaling["factor"]) + 1.0


def _yarn(plain: Floats, theta: float, scaling: Mapping[str, Any]) -> Floats:
    """Divide slow frequencies by the factor, keep fast ones, ramp linearly between (section 3.2, "NTK by parts")."""
    half = len(plain)

    def dimension(rotations: float) -> float:
        """Return the (fractional) index of the frequency that turns ``rotations`` times over the original context."""
        wavelength = scaling["original_max_position_embeddings"] / (rotations * 2 * math.pi)
        return half * math.log(wavelength) / math.log(theta)

    low, high = dimension(scaling.get("beta_fast", 32.0)), dimension(scaling.get("beta_slow", 1.0))
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * half - 1)
    if low == high:
        high += 0.001  # the ramp becomes a step
    slow = np.clip((np.arange(half, dtype=np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    scaled: Floats = plain / np.float32(scaling["factor"]) * slow + plain * (np.float32(1) - slow)
    return scaled


def _llama3(plain: Floats, scaling: Mapping[str, Any]) -> Floats:
    """Divide wavelengths beyond the original context by the factor, blend those near it (Llama 3.1 model card)."""
    turns = scaling["original_max_position_embeddings"] * plain / np.float32(2 * math.pi)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    fast = np.clip((turns - np.float32(low)) / np.float32(high - low), 0, 1)
    blended: Floats = (np.float32(1) - fast) * plain / np.float32(scaling["factor"]) + fast * plain
    return np.where(turns > high, plain, blended).astype(np.float32)
