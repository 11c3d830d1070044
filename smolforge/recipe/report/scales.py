"""Axes of charts: which values get a tick, how numbers are written, and where a value lies on the paper.

Input: the extent of the data. Output: ``Scale`` objects that ``charts`` draws with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float, digits: int = 3) -> str:
    """Write a number for people: 1234567 → 1.23M, 0.5 → 0.5, 0.00021 → 2.1e-4; a dash for what is not a number."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    for limit, suffix in SUFFIXES:
        if size >= limit * 0.9995:
            return f"{_short(value / limit, digits)}{suffix}"
    if size < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return _short(value, digits)


def _short(value: float, digits: int) -> str:
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round values that span [low, high] from outside, about ``wanted`` of them."""
    if not high > low:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    rough = (high - low) / max(wanted - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(s for s in STEPS if s * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return ticks for a logarithmic axis: powers of ten, with 2 and 5 between them where there are few."""
    first, last = math.floor(math.log10(low) - 1e-9), math.ceil(math.log10(high) + 1e-9)
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [f * 10.0**e for e in range(first, last + 1) for f in factors]
    below = [t for t in ticks if t <= low] or ticks[:1]
    above = [t for t in ticks if t >= high] or ticks[-1:]
    return [t for t in ticks if below[-1] <= t <= above[0]]


@dataclass(frozen=True)
class Scale:
    """Maps values to coordinates: the first tick lies at ``start``, the last at ``end``."""

    ticks: Sequence[float]
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the coordinate of ``value``, kept within the axis."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def linear(values: Sequence[float], start: float, end: float, wanted: int = 5) -> Scale:
    """Return a linear scale over the finite values."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    return Scale(nice_ticks(min(finite), max(finite), wanted), start, end)


def logarithmic(values: Sequence[float], start: float, end: float) -> Scale:
    """Return a logarithmic scale over the positive values."""
    positive = [v for v in values if math.isfinite(v) and v > 0] or [0.1, 1.0]
    return Scale(log_ticks(min(positive), max(positive)), start, end, log=True)
