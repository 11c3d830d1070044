"""Small charts as inline SVG: lines over a linear or logarithmic axis, and bars with intervals.

Input: plain numbers and labels. Output: SVG text that takes its colours from the page's style sheet (light and dark),
says each value in a ``<title>`` tooltip, and needs neither scripts nor a network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from smolforge.recipe.report.scales import Scale, linear, logarithmic, number

WIDTH = 860
SERIES_COLOURS = 8
MAX_POINTS = 240
MARK_ROWS = 3
FEW_POINTS = 12  # each of so few points is drawn as a dot
CHARACTER = 6.6  # mean width of a character at 12 px, for margins


@dataclass(frozen=True)
class Line:
    """One curve: points in the order of x; ``colour`` is an index into the palette."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int = 0


@dataclass(frozen=True)
class Bar:
    """One bar with an optional interval; ``note`` is written behind the value."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    colour: int = 0
    note: str = ""


@dataclass(frozen=True)
class Mark:
    """A vertical line across a line chart: where a stage (``strong``) or a phase of it begins."""

    x: float
    label: str
    strong: bool = False


def legend(names: Sequence[tuple[str, int]]) -> str:
    """Return the names of the series with their colours as HTML."""
    entries = "".join(f'<span><i class="c{c % SERIES_COLOURS}"></i>{escape(name)}</span>' for name, c in names)
    return f'<div class="legend">{entries}</div>'


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    log_y: bool = False,
    marks: Sequence[Mark] = (),
    height: int = 320,
) -> str:
    """Return a line chart with axes, grid, legend and marks; an empty string where there is nothing to draw."""
    lines = [thinned(line) for line in lines if len(line.xs)]
    if not lines:
        return ""
    left, right, top, bottom = 62, WIDTH - 26, 58 if marks else 12, height - 40
    every_y = [y for line in lines for y in line.ys]
    x = linear([v for line in lines for v in line.xs], left, right, 8)
    y = (logarithmic if log_y else linear)(every_y, bottom, top)
    body = [_grid(x, y, left, right, top, bottom), _axis_titles(x_label, y_label, left, right, top, bottom)]
    body += _marks(marks, x, top, bottom)
    body += [_curve(line, x, y, x_label, y_label) for line in lines]
    names = list(dict.fromkeys((line.name, line.colour) for line in lines))
    head = legend(names) if len(names) > 1 else ""
    return head + _svg(body, height, f"{y_label} over {x_label}")


def bar_chart(
    groups: Sequence[tuple[str, Sequence[Bar]]],
    *,
    x_label: str,
    names: Sequence[tuple[str, int]] = (),
    limit: float | None = None,
    line: float | None = None,
    percent: bool = False,
) -> str:
    """Return horizontal bars in groups. ``limit`` fixes the end of the axis, ``line`` draws a target across."""
    bars = [bar for _, group in groups for bar in group if math.isfinite(bar.value)]
    if not bars:
        return ""
    longest = max([len(b.label) for b in bars] + [len(title) for title, _ in groups if len(groups) > 1])
    left = min(60 + longest * CHARACTER, WIDTH * 0.42)
    ends = [v for b in bars for v in (b.value, b.high) if v is not None]
    x = linear([0.0, limit if limit is not None else max([*ends, line or 0.0])], left, WIDTH - 150, 6)
    y, rows, body = 10.0, [], []
    for title, group in groups:
        if title:
            rows.append(f'<text class="group" x="0" y="{y + 13:.1f}">{escape(title)}</text>')
            y += 20
        for bar in group:
            if math.isfinite(bar.value):
                rows.append(_bar(bar, x, y, percent))
                y += 20
        y += 8 if title else 0
    bottom = y + 2
    for tick in x.ticks:
        body.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="6" y2="{bottom:.1f}"/>')
        text = _percent(tick) if percent else number(tick)
        body.append(f'<text class="tick" text-anchor="middle" x="{x(tick):.1f}" y="{bottom + 15:.1f}">{text}</text>')
    body += rows
    if line is not None:
        body.append(f'<line class="target" x1="{x(line):.1f}" x2="{x(line):.1f}" y1="2" y2="{bottom:.1f}"/>')
    middle = (left + WIDTH - 150) / 2
    body.append(
        f'<text class="axis" text-anchor="middle" x="{middle:.1f}" y="{bottom + 33:.1f}">{escape(x_label)}</text>'
    )
    return (legend(names) if names else "") + _svg(body, bottom + 40, x_label)


def thinned(line: Line) -> Line:
    """Return the line with at most ``MAX_POINTS`` points (means over equal stretches) and finite values only."""
    pairs = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    size = math.ceil(len(pairs) / MAX_POINTS)
    if size <= 1:
        return Line(line.name, [p[0] for p in pairs], [p[1] for p in pairs], line.colour)
    chunks = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    xs = [chunk[-1][0] for chunk in chunks]
    return Line(line.name, xs, [sum(p[1] for p in chunk) / len(chunk) for chunk in chunks], line.colour)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}".rstrip("0").rstrip(".") + "%"


def _svg(body: Sequence[str], height: float, label: str) -> str:
    inside = "".join(body)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{inside}</svg>'


def _grid(x: Scale, y: Scale, left: float, right: float, top: float, bottom: float) -> str:
    parts = []
    for tick in y.ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{left - 7}" y="{y(tick) + 4:.1f}">{number(tick)}</text>')
    for tick in x.ticks:
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(
            f'<text class="tick" text-anchor="middle" x="{x(tick):.1f}" y="{bottom + 17}">{number(tick)}</text>'
        )
    parts.append(f'<line class="base" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    return "".join(parts)


def _axis_titles(x_label: str, y_label: str, left: float, right: float, top: float, bottom: float) -> str:
    across, down = (left + right) / 2, (top + bottom) / 2
    return (
        f'<text class="axis" text-anchor="middle" x="{across:.1f}" y="{bottom + 35:.1f}">{escape(x_label)}</text>'
        f'<text class="axis" text-anchor="middle" transform="translate(13 {down:.1f}) rotate(-90)">'
        f"{escape(y_label)}</text>"
    )


def _marks(marks: Sequence[Mark], x: Scale, top: float, bottom: float) -> list[str]:
    """Draw marks with their labels above the plot, in three rows, so that no label crosses a later mark's line."""
    parts: list[str] = []
    rows: list[tuple[float, int]] = []
    for mark in sorted(marks, key=lambda mark: -mark.x):
        at, width = x(mark.x), len(mark.label) * CHARACTER + 10
        inward = at + width > WIDTH
        row = 1 + max((r for other, r in rows if other < at + width), default=-1)
        row = MARK_ROWS - 1 if inward else min(row, MARK_ROWS - 1)
        rows.append((at, row))
        high, strong = top - 10 - 15 * row, " strong" if mark.strong else ""
        parts.append(
            f'<line class="mark{strong}" x1="{at:.1f}" x2="{at:.1f}" y1="{high - 8:.1f}" y2="{bottom}"/>'
            f'<text class="tick{strong}" text-anchor="{"end" if inward else "start"}" '
            f'x="{at + (-4 if inward else 4):.1f}" y="{high:.1f}">{escape(mark.label)}</text>'
        )
    return parts


def _curve(line: Line, x: Scale, y: Scale, x_label: str, y_label: str) -> str:
    points = [(x(a), y(b)) for a, b in zip(line.xs, line.ys, strict=True)]
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    colour = f"c{line.colour % SERIES_COLOURS}"
    stride = max(1, len(points) // 60)
    dots = [
        f'<circle class="hit" cx="{points[i][0]:.1f}" cy="{points[i][1]:.1f}" r="6"><title>{escape(line.name)}: '
        f"{escape(y_label)} {number(line.ys[i], 4)} at {escape(x_label)} {number(line.xs[i])}</title></circle>"
        for i in range(0, len(points), stride)
    ]
    few = points if len(points) <= FEW_POINTS else []
    drawn = "".join(f'<circle class="{colour}" cx="{a:.1f}" cy="{b:.1f}" r="3.2"/>' for a, b in few)
    return f'<path class="curve {colour}" d="{path}"/>{drawn}{"".join(dots)}'


def _bar(bar: Bar, x: Scale, y: float, percent: bool) -> str:
    write = _percent if percent else number
    start, end, middle = x(0.0), x(bar.value), y + 8
    interval, beyond, said = "", end, write(bar.value)
    if bar.low is not None and bar.high is not None:
        a, b = x(bar.low), x(bar.high)
        interval = (
            f'<path class="interval" d="M{a:.1f} {middle}H{b:.1f}M{a:.1f} {middle - 4}V{middle + 4}'
            f'M{b:.1f} {middle - 4}V{middle + 4}"/>'
        )
        beyond, said = max(end, b), f"{write(bar.value)} ({write(bar.low)} to {write(bar.high)})"
    behind = f"{write(bar.value)}{' ' + bar.note if bar.note else ''}"
    return (
        f"<g><title>{escape(bar.label)}: {escape(said)} {escape(bar.note)}</title>"
        f'<text class="label" text-anchor="end" x="{start - 7:.1f}" y="{middle + 4:.1f}">{escape(bar.label)}</text>'
        f'<rect class="c{bar.colour % SERIES_COLOURS}" x="{start:.1f}" y="{y:.1f}" width="{max(end - start, 0.6):.1f}" '
        f'height="15" rx="2"/>{interval}'
        f'<text class="value" x="{beyond + 6:.1f}" y="{middle + 4:.1f}">{escape(behind)}</text></g>'
    )
