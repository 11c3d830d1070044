"""Stacked horizontal bars as inline SVG: what a whole is made of, row by row.

Input: labelled parts. Output: SVG text in the manner of ``charts``: colours of the page's style sheet, every value in a
tooltip, no scripts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from smolforge.recipe.report.charts import CHARACTER, SERIES_COLOURS, WIDTH, legend
from smolforge.recipe.report.scales import Scale, linear, number

_BEHIND = 150  # room for the note behind a bar
_LONGEST = 36  # characters of a label
_ROW = 20


@dataclass(frozen=True)
class Part:
    """A part of a bar; ``colour`` is an index into the palette."""

    name: str
    value: float
    colour: int


@dataclass(frozen=True)
class Stack:
    """A bar of several parts; ``note`` is written behind it."""

    label: str
    parts: Sequence[Part]
    note: str = ""

    @property
    def total(self) -> float:
        """The length of the whole bar."""
        return sum(part.value for part in self.parts)


def stacked_chart(stacks: Sequence[Stack], *, x_label: str, shares: bool = False) -> str:
    """Return the bars with a legend; with ``shares`` each is drawn to the same length and read in percent.

    Rows without anything are left out; an empty string where nothing is left.
    """
    stacks = [stack for stack in stacks if stack.total > 0]
    if not stacks:
        return ""
    longest = max(min(len(stack.label), _LONGEST) for stack in stacks)
    left = 16 + longest * CHARACTER
    x = linear([0.0, 100.0 if shares else max(stack.total for stack in stacks)], left, WIDTH - _BEHIND, 6)
    rows = [_stack(stack, x, 10 + _ROW * at, shares) for at, stack in enumerate(stacks)]
    bottom = 12 + _ROW * len(stacks)
    body = [*_ticks(x, bottom, "%" if shares else ""), *rows]
    middle = (left + WIDTH - _BEHIND) / 2
    body.append(
        f'<text class="axis" text-anchor="middle" x="{middle:.1f}" y="{bottom + 33}">{escape(x_label)}</text>'
    )  # fmt: skip
    names = dict.fromkeys((part.name, part.colour) for stack in stacks for part in stack.parts if part.value > 0)
    ordered = sorted(names, key=lambda name: _place(stacks, name[0]))
    picture = (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 40}" role="img" aria-label="{escape(x_label)}">{"".join(body)}</svg>'
    )
    return legend(ordered) + picture


def _place(stacks: Sequence[Stack], name: str) -> int:
    """Return where a part stands in a bar, so that the legend has the order of the bars."""
    return max(at for stack in stacks for at, part in enumerate(stack.parts) if part.name == name)


def _ticks(x: Scale, bottom: float, unit: str) -> Iterator[str]:
    for tick in x.ticks:
        yield f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="6" y2="{bottom}"/>'
        yield (
            f'<text class="tick" text-anchor="middle" x="{x(tick):.1f}" y="{bottom + 15}">{number(tick)}{unit}</text>'
        )


def _stack(stack: Stack, x: Scale, y: float, shares: bool) -> str:
    label = stack.label if len(stack.label) <= _LONGEST else f"{stack.label[: _LONGEST - 1]}…"
    factor = 100.0 / stack.total if shares else 1.0
    parts, at = [], 0.0
    for part in stack.parts:
        if part.value > 0 and math.isfinite(part.value):
            parts.append(_part(stack, part, x(at * factor), x((at + part.value) * factor), y))
            at += part.value
    return (
        f'<text class="label" text-anchor="end" x="{x(0.0) - 7:.1f}" y="{y + 12}">{escape(label)}</text>'
        f"{''.join(parts)}"
        f'<text class="value" x="{x(at * factor) + 6:.1f}" y="{y + 12}">{escape(stack.note)}</text>'
    )


def _part(stack: Stack, part: Part, start: float, end: float, y: float) -> str:
    said = f"{stack.label}: {part.name} {number(part.value)} ({100 * part.value / stack.total:.1f}%)"
    return (
        f'<rect class="c{part.colour % SERIES_COLOURS}" x="{start:.1f}" y="{y}" width="{max(end - start, 0.4):.1f}" '
        f'height="15"><title>{escape(said)}</title></rect>'
    )
