"""The guide from a crawl to a mixture, and what the README says of it: every command run on a small crawl."""

from __future__ import annotations

import gzip
import html
import json
import re
import shlex
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from smolforge.cli.main import main
from tests.corpus.warc_bytes import http, warc

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "curate.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMES = (
    "assignment", "attribute-access", "calls", "class", "comparisons", "execmodel", "function", "identifiers", "import",
    "naming", "objects", "operator-summary", "raise", "strings", "try", "typesmapping", "typesseq-mutable", "with",
)  # fmt: skip


def page(text: str) -> bytes:
    paragraphs = "".join(f"<p>{html.escape(part)}</p>" for part in text.split("\n\n") if not part.startswith("   "))
    menu = "".join(f'<li><a href="/{each}.html">Chapter {each}</a></li>' for each in range(12))
    body = f"<nav><ul>{menu}</ul></nav><main>{paragraphs}</main>"
    return http(f"<html lang=en><head><title>Help</title></head><body>{body}</body></html>".encode())


def write_crawl(folder: Path) -> None:
    (folder / "crawl").mkdir()
    pages = {name: topics[name] for name in NAMES}
    pages["near"] = topics["import"].replace(" namespace ", " elsewhere ", 1).rsplit("\n\n", 2)[0]
    records = (warc(f"https://help.example/{name}.html", page(text)) for name, text in pages.items())
    (folder / "crawl" / "part-0.warc.gz").write_bytes(b"".join(gzip.compress(record) for record in records))
    (folder / "benchmarks").mkdir()
    question = max(topics["objects"].split("\n\n"), key=len)
    (folder / "benchmarks" / "help.jsonl").write_text(json.dumps({"id": "1", "question": question}) + "\n")


def commands(text: str) -> list[list[str]]:
    lines = (line.strip().partition("  #")[0] for line in text.splitlines() if line.startswith("    smolforge"))
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.slow
def test_every_command_of_the_guide_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_crawl(tmp_path)
    (recipe,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "crawl.yaml").write_text(recipe)
    said = {}
    for words in [*commands(GUIDE), *commands(curating())]:
        code = main(words)
        out, err = capsys.readouterr()
        assert code == 0, (words, err)
        said[" ".join(words[:2])] = out
    assert "dropped by near_dedup" in said["corpus why"] and "⟦elsewhere⟧" in said["corpus why"]
    page_path, card_path = (Path(said[f"corpus {verb}"].strip()) for verb in ("report", "card"))
    assert "holds items of help" in page_path.read_text()
    assert "pretty_name: Help pages" in card_path.read_text()
    assert "web" in said["corpus plan"] and "code" in said["corpus plan"]


def curating() -> str:
    (found,) = re.findall(r"^## Curate a corpus\n(.*?)(?=^## )", README, re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_readme_shows_how_to_curate_in_three_commands() -> None:
    shown = commands(curating())
    assert [" ".join(words[:2]) for words in shown] == ["run crawl.yaml", "corpus report", "corpus why"]
    assert "docs/guides/curate.md" in curating()
