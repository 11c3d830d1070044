"""Plain tables and sizes as people read them. Input: rows of words. Output: aligned lines without any markup."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def render(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return the table; columns in ``right`` are aligned to the right."""
    every = [heads, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(heads))]
    return "\n".join(
        "  ".join(word.rjust(widths[i]) if i in right else word.ljust(widths[i]) for i, word in enumerate(row)).rstrip()
        for row in every
    )


def size_text(n_bytes: float) -> str:
    """Return e.g. ``98 MB`` or ``1.73 GB`` (decimal)."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            value = n_bytes / size
            return f"{value:.0f} {unit}" if value >= 100 or unit == "kB" else f"{value:.3g} {unit}"
    return f"{n_bytes:.0f} B"


def count_text(n: float) -> str:
    """Return e.g. ``135M`` or ``3.08B``, as parameters are counted."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= size:
            return f"{n / size:.3g}{unit}"
    return f"{n:.0f}"
