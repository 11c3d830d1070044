"""What docs/reference/rules.md shows: its Python and its command run, its numbers are true."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from smolforge.cli.main import main
from smolforge.corpus.rules.limits import load_profile
from smolforge.corpus.text.features import FEATURES
from smolforge.corpus.text.language_model import NEIGHBOURS
from tests.corpus.test_calibrate import documents
from tests.corpus.test_corpus_rules import SENTENCES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:^    .*\n)(?:(?:    .*)?\n)*", PAGE, re.MULTILINE)
PROGRAMS = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in BLOCKS]


def test_the_python_of_the_page_runs() -> None:
    shown = [program for program in PROGRAMS if program.startswith("from ")]
    assert len(shown) == 2
    names = {
        "texts": [SENTENCES["fr"], "\n".join("a b" for _ in range(90))],
        "languages": ["fr", "en"],
        "profiles": ["notes", "prose"],
        "urls": ["", ""],
        "text": f"{SENTENCES['fr']}\nLire la suite",
    }
    for program in shown:
        exec(program, names)
    assert names["reasons"][0] == "" and names["reasons"][1] and names["details"][1]
    assert names["cleaned"].text == SENTENCES["fr"]  # type: ignore[attr-defined]


def test_the_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = [program.split() for program in PROGRAMS if program.startswith("smolforge ")]
    monkeypatch.chdir(tmp_path)
    Path("sample").mkdir()
    german, english = documents("de"), documents("en")
    pq.write_table(pa.table({"text": german, "language": ["de"] * len(german)}), "sample/german.parquet")
    pq.write_table(pa.table({"text": english, "language": ["en"] * len(english)}), "english.parquet")
    assert main(command[1:]) == 0
    assert load_profile("prose", str(tmp_path / "rules")).limits("de") != load_profile("prose").limits("de")


def test_the_numbers_and_profiles_of_the_page_are_true() -> None:
    assert f"{len(FEATURES)} numbers" in PAGE and f"{len(NEIGHBOURS)} neighbours" in PAGE
    cells = re.findall(r"^\| (`.+?`) \|", PAGE, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert len(names) == 7 and all(load_profile(name).default for name in names)
