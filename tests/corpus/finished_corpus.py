"""A finished corpus of Python's help pages with copies, personal data, a benchmark, torn rows and hostile names.

Made by the recipe's own runner, so it has a manifest and lies in a run.
"""

from __future__ import annotations

import json
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import yaml

from smolforge.cli.main import main

TEXTS = [text for _, text in sorted(topics.items()) if len(text) > 1500][:12]
SCRIPT = "<script>alert(1)</script>"
HOSTILE = f'{SCRIPT} "><img src=x onerror=alert(2)> </div></details> {{{{ 7*7 }}}} \u202eleft\x1b[31m\x07 {"x" * 3000}'
ADDRESS = "ines.moreau@harbour-office.fr"
KEY_VARIABLE, KEY = "HELP_CORPUS_KEY", "not for others"


def write_pages(folder: Path) -> None:
    """Write what the corpus is made of."""
    folder.mkdir()
    for number, text in enumerate(TEXTS):
        (folder / f"page-{number:02d}.txt").write_text(text)
    (folder / "same.txt").write_text(f"{TEXTS[0]}\n\n")
    words = TEXTS[1].split(" ")
    words[40] = "elsewhere"
    (folder / "near.txt").write_text(" ".join(words))
    (folder / "mail.txt").write_text(f"{TEXTS[2][:1200]}\nWrite to {ADDRESS} about it.")
    (folder / "question.txt").write_text(f"{TEXTS[3][:900]}\n{TEXTS[4][:700]}")
    (folder / "again.txt").write_text("The harbour master wrote down every ship that came in that winter.\n" * 8)
    (folder / "hostile.txt").write_text(HOSTILE)
    (folder / "<b>bold|.txt").write_text(f"Short {SCRIPT}.")
    (folder / "torn.jsonl").write_text('{"text": \n{"text": "A row that is short.", "licence": "MIT | <i>x</i>"}\n')


def build(folder: Path) -> Path:
    """Build a run below ``folder`` and return its folder."""
    write_pages(folder / "pages")
    benchmarks = folder / "benchmarks"
    benchmarks.mkdir()
    item = {"id": "1", "question": " ".join(TEXTS[3][:900].split()[5:70])}
    (benchmarks / "help.jsonl").write_text(json.dumps(item) + "\n")
    source = {"kind": "folder", "path": str(folder / "pages"), "name": "own", "rules": "notes", "licence": None}
    corpus = {
        "sources": [source], "held_out": 0.2, "line_dedup": {}, "decontaminate": {"benchmarks": str(benchmarks)},
        "pii": {"key_variable": KEY_VARIABLE},
    }  # fmt: skip
    run = folder / "runs" / "help"
    recipe = folder / "help.yaml"
    recipe.write_text(yaml.safe_dump({"name": "help", "output": str(run), "corpus": corpus}))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(KEY_VARIABLE, KEY)
        assert main(["run", str(recipe)]) == 0
    return run
