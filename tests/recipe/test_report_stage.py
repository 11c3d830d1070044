"""The report shows every stage, says what is missing, loads nothing, and its figures are the documented ones."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from smolforge.errors import DataError
from smolforge.recipe.report.config import ReportConfig, Target
from smolforge.recipe.report.metrics import NAMES
from smolforge.recipe.report.stage import run
from smolforge.store import Artifact, StageContext, StageOutcome
from tests.recipe.report_run import LANGUAGES, TRAINING, write_run

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
TARGETS = (
    Target(metric="calls.commands_templates.constrained.exact", label="Held-out templates", at_least=0.85),
    Target(metric="text.worst_ratio_to_xz", below=1.0),
    Target(metric="reasoning.interval_gap", above=0.0),
    Target(metric="export.gguf-q4_0.points_lost", at_most=2.0),
    Target(metric="never.measured", at_least=1.0),
)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return write_run(tmp_path_factory.mktemp("run"))


def report(
    artifacts: dict[str, Artifact], folder: Path, config: ReportConfig
) -> tuple[str, dict[str, float], StageOutcome]:
    folder.mkdir(parents=True, exist_ok=True)
    outcome = run(config, StageContext(folder, artifacts, 1))
    html = (folder / "report.html").read_text(encoding="utf-8")
    return html, json.loads((folder / "metrics.json").read_text()), outcome


class Outline(HTMLParser):
    """Checks that tags close in order, and collects attributes and the text of table rows."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert not parsed.open
    return parsed


def test_the_page_is_whole_and_loads_nothing(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    html, _, _ = report(artifacts, tmp_path, ReportConfig(title="A <run> & more", targets=TARGETS))
    parsed = outline(html)
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", html)
    assert all(value is not None and value.startswith("#") for _, name, value in parsed.attributes if name == "href")
    assert "<title>A &lt;run&gt; &amp; more</title>" in html and "notes &lt;mine&gt;" in html
    assert "prefers-color-scheme: dark" in html and 'class="missing"' not in html
    assert html.count("<svg") >= 10
    for stage in TRAINING:
        assert f">{stage}</text>" in html


def test_targets_say_what_was_reached(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    html, figures, outcome = report(artifacts, tmp_path, ReportConfig(targets=TARGETS))
    verdicts = [row[-1] for row in outline(html).rows[1 : len(TARGETS) + 1]]
    assert verdicts == ["yes", "no", "yes", "yes", "not measured"]
    assert figures["text.worst_ratio_to_xz"] == pytest.approx(1.0)
    assert (outcome.counts["targets"], outcome.counts["targets_reached"]) == (5, 3)


def test_figures_follow_from_the_files(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    _, figures, _ = report(artifacts, tmp_path, ReportConfig())
    assert figures["calls.commands_seen.free.exact"] == pytest.approx(1670 / 1800, rel=1e-5)
    assert figures["calls.commands_values.constrained.lowest_language"] == min(
        figures[f"calls.commands_values.constrained.exact.{language}"] for language in LANGUAGES
    )
    assert figures["reasoning.difference"] == pytest.approx(0.3)
    assert figures["reasoning.interval_gap"] == pytest.approx(
        figures["reasoning.exact_low.think"] - figures["reasoning.exact_high.no_think"], abs=1e-5
    )
    assert figures["export.gguf-q4_0.points_lost"] == pytest.approx(1.2)
    assert figures["train.pretrain.tokens"] == 8192 * 300
    assert figures["cost.total.wall_s"] == pytest.approx(240 + 150 + 9 * 21.5)
    assert figures["cost.training.wall_s"] == pytest.approx(240 + 150 + 3 * 21.5)
    assert figures["model.parameters"] == 5_046_784


def test_every_figure_is_documented_and_every_documented_figure_exists(
    artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    documented = re.findall(r"^\| `([^`]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert documented == list(NAMES)
    _, figures, _ = report(artifacts, tmp_path, ReportConfig())
    patterns = {name: re.compile(re.sub(r"<\w+>", "[^.]+", name.replace(".", r"\."))) for name in NAMES}
    used = {name for figure in figures for name, pattern in patterns.items() if pattern.fullmatch(figure)}
    assert [figure for figure in figures if not any(p.fullmatch(figure) for p in patterns.values())] == []
    assert set(NAMES) - used <= {"tokenizer.copied_alike.<language>"}


@pytest.mark.parametrize("present", [(), ("corpus",), ("corpus", "pretrain"), ("tokenizer", "evaluate"), ("export",)])
def test_stages_that_are_not_there_are_shown_as_missing(
    artifacts: dict[str, Artifact], tmp_path: Path, present: tuple[str, ...]
) -> None:
    html, figures, _ = report({name: artifacts[name] for name in present}, tmp_path, ReportConfig(targets=TARGETS))
    outline(html)
    assert 'class="missing"' in html
    assert ("corpus.bytes_kept" in figures) is ("corpus" in present)
    assert ("export.gguf-f16.bytes" in figures) is ("export" in present)


def test_the_same_run_gives_the_same_page(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    first, second = (report(artifacts, tmp_path / name, ReportConfig())[0] for name in "ab")
    assert first == second


def test_a_torn_log_is_named_with_its_line(tmp_path: Path) -> None:
    artifacts = write_run(tmp_path / "run")
    log = artifacts["sft"].path / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 3')
    with pytest.raises(DataError, match=r"log\.jsonl:41: not valid JSON"):
        report(artifacts, tmp_path / "out", ReportConfig())


def test_a_target_needs_exactly_one_bound() -> None:
    with pytest.raises(ValueError, match="exactly one of"):
        Target(metric="a")
    with pytest.raises(ValueError, match="exactly one of"):
        Target(metric="a", above=1.0, below=2.0)
