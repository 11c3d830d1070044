"""The page and the card of a corpus: they tell what is in its tables, and nothing in a document can act in them."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from smolforge.cli.main import main
from smolforge.corpus.card import Facts, front_matter, hub_licences, size_category
from smolforge.corpus.card_steps import MEANING, SETTINGS
from smolforge.corpus.card_text import plain
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import DROP_FIELDS, FIELDS, read_documents, write_table
from smolforge.corpus.fates import fates, passages
from smolforge.corpus.funnel import STEPS
from smolforge.recipe.report.corpus_files import CorpusFiles
from smolforge.recipe.report.corpus_findings import generated_section, problems_section
from smolforge.recipe.report.html import page
from smolforge.recipe.report.stacked import Part, Stack, stacked_chart
from smolforge.store import Artifact, write_json
from tests.corpus.finished_corpus import ADDRESS, KEY, build

PATIENCE = 600_000.0  # milliseconds for a browser on a busy machine
VOID = {"meta"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def corpus(run: Path) -> Path:
    (folder,) = (run / "artifacts").glob("corpus-*")
    return folder


@pytest.fixture(scope="module")
def html(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["corpus", "report", str(run), "--output", str(path), "--title", "Help & more"]) == 0
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def card(run: Path, corpus: Path) -> str:
    assert main(["corpus", "card", str(run), "--name", "Help pages"]) == 0
    return (corpus / "README.md").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Checks that tags close in order; collects tags, attributes and what stands in a section."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.sections: dict[str, str] = {}
        self._section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = str(dict(attrs)["id"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.sections[self._section] = self.sections.get(self._section, "") + data


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert not parsed.open
    return parsed


def test_nothing_in_a_document_acts_in_the_page(html: str) -> None:
    parsed = outline(html)
    assert not {"script", "img", "link", "iframe", "object", "form", "b"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name == "src"]
    assert all(str(value).startswith("#") for name, value in parsed.attributes if name == "href")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert not any(character in html for character in "\x00\x07\x1b\u202e")
    assert "{{ 7*7 }}" in html
    assert "<title>Help &amp; more</title>" in html


def test_no_name_acts_in_page_or_card(corpus: Path, tmp_path: Path) -> None:
    """Names of sources, licences, files and benchmarks come from anywhere."""
    hostile = "</title></svg>\"'><script>alert(1)</script>\u202e|`x`\x1b"
    bare = tmp_path / "bare"
    shutil.copytree(corpus, bare)
    (bare / "manifest.json").unlink()
    funnel = CorpusFiles(corpus).funnel
    for row in funnel:
        row |= {"source": hostile, "language": hostile, "reason": row["reason"] and hostile}
    source = {
        "name": hostile, "version": hostile, "licence": hostile, "bytes": 1, "documents": 1,
        "problems": [{"path": hostile, "position": hostile, "message": hostile}], "left_out": {hostile: 2},
    }  # fmt: skip
    write_json(bare / "funnel.json", funnel)
    write_json(bare / "sources.json", [source])
    assert main(["corpus", "report", str(bare), "--title", hostile]) == 0
    assert main(["corpus", "card", str(bare), "--name", hostile]) == 0
    html, card = ((bare / name).read_text(encoding="utf-8") for name in ("report.html", "README.md"))
    assert "script" not in outline(html).tags
    assert yaml.safe_load(card.split("---\n")[1])["pretty_name"] == hostile
    body = card.partition("\n---\n")[2]
    for text in (html, body):
        assert "<script" not in text
        assert not any(character in text for character in "\x1b\u202e")


def test_a_browser_shows_the_page_without_running_or_asking_for_anything(run: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium is installed (on Debian: apt install chromium)")
    path = tmp_path / "report.html"
    assert main(["corpus", "report", str(run), "--output", str(path)]) == 0
    seen: list[str] = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"], timeout=PATIENCE
        )
        for width in (1200, 390):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.set_default_timeout(PATIENCE)
            page.on("dialog", lambda dialog: seen.append(dialog.message))  # nobody closes it: the page would stop here
            page.on("request", lambda request: seen.append(request.url))
            page.goto(path.as_uri())
            page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
    assert seen == [path.as_uri()] * 2


def test_text_of_documents_is_wrapped_and_in_its_own_direction(html: str) -> None:
    shown = re.findall(r'<div class="said"([^>]*)>', html)
    assert len(shown) > 5
    assert set(shown) == {' dir="auto"'}
    assert re.search(r"\.said \{[^}]*overflow-wrap: anywhere", html)


def test_the_page_tells_what_is_in_the_tables(html: str, corpus: Path) -> None:
    sections = outline(html).sections
    for name in ("funnel", "languages", "sources", "dropped", "duplicates", "personal", "benchmarks", "problems"):
        assert sections[name].strip(), name
    counts = Artifact.open(corpus).manifest.counts["documents"]
    assert f"Every one of the {sum(counts.values())} documents read" in sections["funnel"]
    assert "file:near.txt" in sections["duplicates"] and "elsewhere" in sections["duplicates"]
    assert "torn.jsonl" in sections["problems"]
    assert "email" in sections["personal"]


def test_differences_between_copies_are_marked(html: str) -> None:
    assert re.search(r"<mark>elsewhere\s*</mark>", html)


def test_fates_and_passages_add_up_to_the_tables(corpus: Path) -> None:
    rows = CorpusFiles(corpus).funnel
    ends = fates(rows)
    tables = {name: len(list(read_documents(corpus / name))) for name in ("kept", "held_out", "dropped")}
    found = Counter[str]()
    for end in ends:
        found["dropped" if end.is_dropped else end.step] += end.documents
    assert found == tables
    steps = passages(rows)
    assert steps[-1].documents == tables["kept"]
    assert sum(step.stopped for step in steps) == tables["dropped"] + tables["held_out"]
    kept_bytes = sum(document.bytes for document in read_documents(corpus / "kept"))
    assert steps[-1].bytes == sum(end.bytes for end in ends if end.step == "kept") == kept_bytes


def test_stacked_bars_draw_every_part_to_scale() -> None:
    svg = stacked_chart([Stack("a <b>", [Part("x", 30, 0), Part("y", 10, 1)], "40"), Stack("none", [])], x_label="n")
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', svg)]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.5)
    assert "a &lt;b&gt;: x 30 (75%)" in svg or "a &lt;b&gt;: x 30 (75.0%)" in svg
    assert stacked_chart([Stack("none", [Part("x", 0, 0)])], x_label="n") == ""


def test_generated_sets_show_what_the_checks_stopped() -> None:
    part = {
        "format": "faq", "documents": 9, "kept": 4, "rejected": {"loops": 3, "copy_rate": 2},
        "faults": {"loops": 3, "copy_rate": 3},
        "examples": {"kept": [{"source": "1", "text": "<i>Q</i>"}], "loops": [{"source": "2", "text": "so"}]},
    }  # fmt: skip
    html = page("t", "s", [generated_section({"generator": "a model", "sets": {"asked": part}})])
    assert "asked (faq)" in html and "4 of 9 kept" in html
    assert "&lt;i&gt;Q&lt;/i&gt;" in html and "loops" in html
    outline(html)
    assert not generated_section(None).blocks


def test_poisoned_rows_are_listed_with_what_they_did(tmp_path: Path) -> None:
    row = dict.fromkeys(FIELDS, "") | {"url": "file:a#row 7", "source": "own"}
    lost = row | {"step": "poisoned", "reason": "no process survives it", "detail": "killed by signal 11"}
    other = row | {"step": "rules", "reason": "words too low", "detail": "1 < 10", "url": "file:b"}
    write_table(tmp_path / "dropped" / "part-00000.parquet", [lost, other], (*FIELDS, *DROP_FIELDS))
    counted = {"source": "own", "language": "", "documents_in": 1, "documents_out": 0, "bytes_in": 0, "bytes_out": 0}
    rows = [counted | {name: each[name] for name in ("step", "reason")} for each in (lost, other)]
    write_json(tmp_path / "funnel.json", rows)
    html = page("t", "s", [problems_section(CorpusFiles(tmp_path))])
    assert "file:a#row 7" in html and "killed by signal 11" in html
    assert "file:b" not in html


def test_the_card_says_where_the_splits_are_and_what_they_hold(card: str, corpus: Path) -> None:
    header = yaml.safe_load(card.split("---\n")[1])
    files = header["configs"][0]["data_files"]
    assert {row["split"]: row["path"] for row in files} == {
        "train": "kept/part-*.parquet",
        "test": "held_out/part-*.parquet",
    }
    for row in files:
        assert list(corpus.glob(row["path"]))
    assert header["language"] == ["en"]
    assert header["size_categories"] == ["n<1K"]
    assert header["license"] == "unknown"
    counts = Artifact.open(corpus).manifest.counts["documents"]
    assert f"{counts['kept']:,} documents to train on" in card


def test_the_card_names_every_step_with_what_it_stopped(card: str, corpus: Path) -> None:
    for row in CorpusFiles(corpus).funnel:
        assert f"| `{row['step']}` |" in card
    removed = card.partition("## What was removed")[2].partition("##")[0]
    assert "near_dedup" in removed and "holds items of help" in removed
    assert "| `email` | 1 |" in card
    (found,) = json.loads((corpus / "contamination.json").read_text())
    assert (found["hit"], found["documents"] > 0) == (1, True)
    assert f"| {found['benchmark']} | 1 | 1 | 1 | {found['documents']} |" in card
    assert "containment 0.9" in card


def test_no_file_of_a_run_holds_the_key_of_its_placeholders(corpus: Path) -> None:
    found = [path for path in corpus.parents[1].rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert found == []


def test_the_card_keeps_folders_and_markup_out(card: str, corpus: Path) -> None:
    assert str(corpus.parents[3]) not in card
    assert ADDRESS not in card
    body = card.partition("\n# ")[2]
    assert not re.search(r"<[a-z]", body)
    assert plain("a | <script>\n# b\x1b") == "a \\| &lt;script&gt; \\# b␛"


def test_the_card_opens_with_the_hubs_own_loader(card: str, corpus: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset(str(corpus), cache_dir=str(tmp_path))
    counts = Artifact.open(corpus).manifest.counts["documents"]
    assert {name: split.num_rows for name, split in found.items()} == {
        "train": counts["kept"],
        "test": counts["held_out"],
    }


def test_a_corpus_with_page_and_card_is_still_the_artifact_it_was(card: str, run: Path, corpus: Path) -> None:
    assert main(["corpus", "report", str(run)]) == 0
    assert (corpus / "report.html").is_file()
    Artifact.open(corpus).verify()


def test_a_corpus_without_a_manifest_has_a_card_too(corpus: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(corpus, bare)
    (bare / "manifest.json").unlink()
    assert main(["corpus", "card", str(bare)]) == 0
    assert "pretty_name: bare" in (bare / "README.md").read_text()


def test_licences_become_the_hubs_identifiers() -> None:
    found = {"CC-BY-4.0": 5, "GPL-3.0-or-later": 2, "PSF-2.0": 3, "unknown": 1, "Apache-2.0": 2, "Custom": 3}
    assert hub_licences(found) == ["other", "cc-by-4.0", "apache-2.0", "gpl-3.0", "unknown"]
    assert hub_licences({}) == ["unknown"]


def test_an_other_licence_is_named(corpus: Path) -> None:
    facts = Facts.read(corpus)
    facts.licences["My own"] += 1000
    header = front_matter(facts, "x")
    assert header["license"] == ["other", "unknown"]
    assert header["license_name"]


def test_sizes_are_in_the_hubs_words() -> None:
    assert [size_category(n) for n in (0, 999, 1000, 99_999, 10**6, 10**12)] == [
        "n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "1M<n<10M", "n>1T",
    ]  # fmt: skip


def test_every_step_of_the_funnel_has_a_sentence_and_known_settings() -> None:
    assert set(MEANING) == set(STEPS)
    assert {key for keys in SETTINGS.values() for key in keys} <= set(CorpusConfig.model_fields)


def test_torn_samples_are_an_error_with_their_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "torn"
    shutil.copytree(corpus, bare)
    with (bare / "samples.jsonl").open("a") as file:
        file.write('{"step": "ru')
    lines = len((corpus / "samples.jsonl").read_text().split("\n"))
    assert main(["corpus", "report", str(bare)]) == 2
    assert f"samples.jsonl:{lines}" in capsys.readouterr().err
    assert json.loads((corpus / "funnel.json").read_text())
