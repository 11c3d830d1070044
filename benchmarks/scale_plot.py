"""The plot of ``corpus_scale.py``: CPU seconds and peak memory over gigabytes of text, as one SVG file.

In: points. Out: SVG, two charts of the run report's own drawing, light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from smolforge.recipe.report.charts import WIDTH, Line, line_chart

_HEIGHT, _GAP = 260, 24
_STYLE = """<style>
  svg { font: 13px system-ui, sans-serif; --ink: #1f2328; --soft: #57606a; --rule: #d8dee4; --c0: #2f6fb3;
        --c1: #d9822b; background: #fff; }
  @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --soft: #9198a1; --rule: #30363d; --c0: #6ba6e8;
        --c1: #f0a354; background: #0d1117; } }
  text { fill: var(--ink); } .tick, .axis { fill: var(--soft); }
  .grid { stroke: var(--rule); } .base { stroke: var(--soft); } .hit { fill: transparent; }
  .curve { fill: none; stroke-width: 1.8; } .c0 { fill: var(--c0); } .c1 { fill: var(--c1); }
  .curve.c0 { stroke: var(--c0); fill: none; } .curve.c1 { stroke: var(--c1); fill: none; }
</style>"""
_INNER = re.compile(r"<svg [^>]*>(.*)</svg>", re.DOTALL)


def draw(points: Sequence[tuple[float, float, float, float]]) -> str:
    """Return the plot of (gigabytes, CPU seconds, MiB of the driver, MiB of the largest worker)."""
    sizes, seconds, driver, worker = ([0.0, *column] for column in zip(*points, strict=True))
    cost = [Line("CPU", sizes, seconds, 0)]
    memory = [Line("largest worker", sizes[1:], worker[1:], 0), Line("driver", sizes[1:], driver[1:], 1)]
    charts = (
        line_chart(cost, x_label="GB of text", y_label="CPU seconds", height=_HEIGHT),
        line_chart(memory, x_label="GB of text", y_label="peak MiB", height=_HEIGHT),
    )
    body = "".join(
        f'<g transform="translate(0 {number * (_HEIGHT + _GAP)})">{_inner(chart)}</g>'
        for number, chart in enumerate(charts)
    )
    names = _name(memory[0].name, "c0", worker[-1], 1) + _name(memory[1].name, "c1", driver[-1], 2)
    title = f"CPU seconds and peak memory of the corpus stage over {sizes[1]:g} to {sizes[-1]:g} GB of text"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {2 * _HEIGHT + _GAP}" role="img">\n'
        f"<title>{title}</title>\n{_STYLE}\n{body}{names}\n</svg>\n"
    )


def _inner(chart: str) -> str:
    found = _INNER.search(chart)
    assert found is not None, "nothing to draw"
    return found[1]


def _name(name: str, colour: str, value: float, row: int) -> str:
    """Return the name of a line with its last value, above the second chart."""
    x, y = 90 + (row - 1) * 280, _HEIGHT + _GAP + 2
    return (
        f'<rect class="{colour}" x="{x}" y="{y - 9}" width="10" height="10" rx="2"/>'
        f'<text x="{x + 16}" y="{y}">{name}, {value:.0f} MiB at the end</text>'
    )
