"""The page: sections become one self-contained HTML file, with its style sheet inside and nothing to load.

Input: sections and a title. Output: HTML text; the layout is ``page.html.jinja`` beside this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from smolforge.printable import printable
from smolforge.recipe.report.blocks import Chart, Section


@cache
def _page() -> jinja2.Template:
    source = resources.files("smolforge.recipe.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_harmless)
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    environment.filters["drawing"] = _drawing
    return environment.from_string(source)


def _harmless(value: object) -> object:
    """Show control characters and marks that reorder text, wherever a text comes from."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _drawing(chart: Chart) -> Markup:
    """Charts are SVG of our own making, their texts already escaped."""
    return Markup(printable(chart.svg))


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the whole page."""
    return _page().render(title=title, subtitle=subtitle, sections=sections) + "\n"
