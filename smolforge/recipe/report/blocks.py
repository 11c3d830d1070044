"""What a page is made of: sections of charts, tables and notes. ``html`` writes them; the section modules fill them.

Input and output are plain values; text is escaped when the page is written, charts are SVG already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from smolforge.recipe.report.scales import number


@dataclass(frozen=True)
class Cell:
    """One table cell. ``kind``: text, number (right-aligned), good, bad or code."""

    text: str
    kind: str = "text"
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a heading row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Chart:
    """An SVG chart with a caption under it."""

    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Note:
    """A sentence for the reader."""

    text: str


@dataclass(frozen=True)
class Code:
    """Preformatted text that is folded away."""

    summary: str
    text: str


@dataclass(frozen=True)
class Excerpt:
    """Text of anybody's making, wrapped and in its own direction, with where it is from and a word about it."""

    title: str
    note: str
    text: str


@dataclass(frozen=True)
class Pair:
    """Two texts side by side, each in runs of (text, whether the other lacks it), under a title of its own."""

    titles: tuple[str, str]
    left: Sequence[tuple[str, bool]]
    right: Sequence[tuple[str, bool]]
    note: str = ""


@dataclass(frozen=True)
class Fold:
    """Blocks that are folded away behind a summary."""

    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = Table | Chart | Note | Code | Excerpt | Pair | Fold


@dataclass
class Section:
    """A chapter of the page; without blocks it says that its stage is missing."""

    id: str
    title: str
    missing: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> Section:
        """Append blocks; charts and tables without content are left out."""
        for block in blocks:
            empty = (isinstance(block, Chart) and not block.svg) or (isinstance(block, Table) and not block.rows)
            if not empty:
                self.blocks.append(block)
        return self


def num(value: float | None, digits: int = 3) -> Cell:
    """Return a number cell; a dash for what was not measured."""
    return Cell("–" if value is None else number(value, digits), "number", "" if value is None else repr(value))


def count(value: int | float | None) -> Cell:
    """Return a whole number with its thousands set apart."""
    return Cell("–" if value is None else f"{value:,.0f}", "number")


def fixed(value: float | None, decimals: int) -> Cell:
    """Return a number with a fixed count of decimals, so that a column of them lines up."""
    return Cell("–" if value is None else f"{value:.{decimals}f}", "number", "" if value is None else repr(value))


def percent(value: float | None, low: float | None = None, high: float | None = None) -> Cell:
    """Return a percentage, with its interval where there is one."""
    if value is None:
        return Cell("–", "number")
    text = f"{100 * value:.1f}"
    if low is not None and high is not None:
        text += f" ({100 * low:.1f}–{100 * high:.1f})"
    return Cell(text, "number")


def size(amount: float | None) -> Cell:
    """Return a size in bytes, KB, MB or GB (powers of ten)."""
    if amount is None:
        return Cell("–", "number")
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if amount >= limit:
            return Cell(f"{amount / limit:.2f} {unit}", "number", f"{amount:,.0f} bytes")
    return Cell(f"{amount:.0f} B", "number")


def seconds(value: float | None) -> Cell:
    """Return a duration as h, min and s."""
    if value is None:
        return Cell("–", "number")
    if value < 90:
        return Cell(f"{value:.1f} s", "number")
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return Cell(f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s", "number")
