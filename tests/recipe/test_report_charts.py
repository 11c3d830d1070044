"""Charts are well-formed, keep every value on the paper, and write numbers a person can read."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.recipe.report.charts import WIDTH, Bar, Line, Mark, bar_chart, line_chart, thinned
from smolforge.recipe.report.scales import Scale, linear, log_ticks, logarithmic, nice_ticks, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567, "1.23M"), (999.9, "1k"), (0.5, "0.5"), (2.0, "2"), (0.00021, "2.1e-4"), (-45.678, "-45.7"),
     (100, "100"), (3.0e9, "3G"), (1.12e13, "11.2T"), (math.nan, "–"), (10_000, "10k")],
)  # fmt: skip
def test_numbers_are_short_and_keep_three_digits(value: float, text: str) -> None:
    assert number(value) == text


@settings(deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-6, 1e9), st.integers(2, 9))
def test_ticks_enclose_the_data_evenly(offset: float, width: float, wanted: int) -> None:
    low = offset * width
    ticks = nice_ticks(low, low + width, wanted)
    gap = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * gap and ticks[-1] >= low + width - 1e-6 * gap
    assert all(math.isclose(b - a, gap, rel_tol=1e-3) for a, b in pairwise(ticks))
    assert 2 <= len(ticks) <= 2 * wanted + 2


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1.0, 1e6))
def test_logarithmic_ticks_enclose_the_data(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert ticks[0] <= low and ticks[-1] >= low * factor * 0.999 and ticks == sorted(set(ticks))


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=20), st.booleans())
def test_scales_are_monotone_and_stay_on_the_paper(values: list[float], log: bool) -> None:
    scale: Scale = (logarithmic if log else linear)(values, 10.0, 500.0)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places) and all(10.0 <= place <= 500.0 for place in places)


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg[svg.index("<svg") :])


def test_a_line_chart_draws_every_series_with_axes_marks_and_tooltips() -> None:
    lines = [Line("a <b>", range(1, 400), [10 / x for x in range(1, 400)], 0), Line("b", [1, 2], [3.0, 0.1], 1)]
    chart = line_chart(
        lines, x_label="tokens", y_label="loss", log_y=True, marks=[Mark(1, "start", True), Mark(200, "two")]
    )
    root = parse(chart)
    assert len([e for e in root.iter("path") if "curve" in e.get("class", "")]) == 2
    texts = {e.text for e in root.iter("text")}
    assert {"tokens", "loss", "start", "two"} <= texts
    assert any(e.text and e.text.startswith("a <b>: loss") for e in root.iter("title"))
    assert "a &lt;b&gt;" in chart and "<b>" not in chart
    xs = [float(e.get("x", 0)) for e in root.iter("text")]
    assert max(xs) <= WIDTH


def test_marks_close_together_and_at_the_edge_stay_readable() -> None:
    marks = [Mark(x, "a stage name", True) for x in (0, 1, 2, 100)]
    root = parse(line_chart([Line("l", range(101), range(101))], x_label="x", y_label="y", marks=marks))
    labels = [e for e in root.iter("text") if e.text == "a stage name"]
    assert len({e.get("y") for e in labels[1:]}) == 3 and labels[0].get("text-anchor") == "end"


def test_bars_show_value_interval_and_note_in_proportion() -> None:
    bars = [Bar("one", 0.25, 0.2, 0.3, 0, "of 40"), Bar("two", 0.5), Bar("unknown", math.nan)]
    root = parse(bar_chart([("", bars)], x_label="share", limit=1.0, percent=True, line=0.4))
    first, second = (float(e.get("width", 0)) for e in root.iter("rect"))
    assert second == pytest.approx(2 * first, rel=0.01)
    assert "25% of 40" in {e.text for e in root.iter("text")}
    assert any(e.text == "one: 25% (20% to 30%) of 40" for e in root.iter("title"))
    assert len([e for e in root.iter("path") if e.get("class") == "interval"]) == 1
    assert len([e for e in root.iter("line") if e.get("class") == "target"]) == 1


def test_nothing_to_draw_is_an_empty_string() -> None:
    assert line_chart([Line("a", [], [])], x_label="x", y_label="y") == ""
    assert bar_chart([("", [Bar("a", math.nan)])], x_label="x") == ""


def test_long_curves_are_thinned_to_means_and_bad_values_left_out() -> None:
    line = thinned(Line("a", range(10_000), [float(x % 2) for x in range(9_999)] + [math.inf]))
    assert len(line.xs) <= 240 and all(y == pytest.approx(0.5, abs=0.2) for y in line.ys)


def test_constant_data_still_has_an_axis() -> None:
    assert re.search(r"<svg", line_chart([Line("a", [1, 2], [3.0, 3.0])], x_label="x", y_label="y"))
