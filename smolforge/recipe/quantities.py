"""Quantities as people write them: tokens, energy, time. Input: numbers. Output: short texts."""

from __future__ import annotations


def quantity(value: float) -> str:
    """Return e.g. ``11.136T``, ``99.1B``, ``840``."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            digits = 3 if letter == "T" else 1
            return f"{value / size:.{digits}f}{letter}"
    return f"{value:.0f}"


def energy(kwh: float) -> str:
    """Return kWh, or Wh where that is readable."""
    return f"{kwh:,.0f} kWh" if kwh >= 10 else f"{kwh * 1000:,.1f} Wh"


def duration(days: float) -> str:
    """Return days, hours, minutes or seconds, whichever is readable."""
    for size, unit in ((1.0, "d"), (1 / 24, "h"), (1 / 1440, "min")):
        if days >= size:
            return f"{days / size:.1f} {unit}"
    return f"{days * 86_400:.0f} s"
