"""The real small model as a generator: killed in the middle, and as the guide and the command have it."""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from smolforge.cli.main import main
from smolforge.corpus.document import Document
from smolforge.corpus.synthesize.cache import ReplyCache
from smolforge.hub.local import VARIABLE, bundled
from smolforge.store import QuietProgress
from tests.corpus.scripted_server import scripted
from tests.corpus.synthesis_answers import (
    GUIDE,
    NEEDS_MODEL,
    ROOT,
    good,
    rejected,
)
from tests.corpus.synthesis_run import contents, corpus, generate, towers


@pytest.fixture
def root(tmp_path: Path) -> Path:
    corpus(tmp_path / "corpus", towers(12))
    return tmp_path


LAX = {"least_characters": 10, "length_ratio": [0.01, 9], "copy_rate": 1, "repetition": 1, "language_confidence": 0}
REAL = {
    "short": {
        "format": "distilled", "documents": 6, "limits": LAX, "source_characters": 60_000,
        "params": {"max_tokens": 120, "temperature": 0.2, "frequency_penalty": 0.5},
    },
    "articles": {"format": "wikipedia", "documents": 2, "params": {"max_tokens": 60}},
}  # fmt: skip


@NEEDS_MODEL
@pytest.mark.slow
def test_the_bundled_model_is_killed_in_the_middle_and_repeats_nothing(tmp_path: Path) -> None:
    too_long = Document.make(
        "A tower stands on the coast. " * 2000, url="long", source="t", licence="CC0-1.0", language="en"
    )
    corpus(tmp_path / "corpus", [*towers(5), too_long])
    config = {"generator": {"model": str(bundled()), "concurrency": 2}, "sets": REAL}
    script = [sys.executable, str(Path(__file__).with_name("synthesis_run.py")), str(tmp_path), json.dumps(config)]
    child = subprocess.Popen(script, env={**os.environ, "PYTHONPATH": str(ROOT)})
    cache = ReplyCache(tmp_path / "requests.sqlite")
    patience = time.monotonic() + 600
    while sum(cache.counts()) < 2:
        assert child.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = sum(cache.counts())
    assert before < 8
    asked, counts = _asked(tmp_path, config)
    assert asked == 8 - before
    assert sum(cache.counts()) == 8
    cache.close()
    rows = rejected(tmp_path)
    assert any(row["reason"] == "request" and "the prompt takes" in row["detail"] for row in rows)
    assert counts["short"]["kept"] >= 1
    assert all(row["detail"] for row in rows)
    interrupted = contents(tmp_path)
    assert _asked(tmp_path, config)[0] == 0
    assert contents(tmp_path) == interrupted
    (tmp_path / "requests.sqlite").unlink()
    shutil.rmtree(tmp_path / "work")
    assert _asked(tmp_path, config)[0] == 8
    assert contents(tmp_path) == interrupted


def _asked(root: Path, config: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Run the stage; return how many requests it asked, and its counts."""
    notes = Notes()
    outcome = generate(root, config, progress=notes)
    (note,) = notes.said
    return int(note.split()[0]), outcome.counts["generated"]


class Notes(QuietProgress):
    """Keeps what a stage says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@NEEDS_MODEL
@pytest.mark.slow
def test_the_guide_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(bundled()))
    (tmp_path / "texts").mkdir()
    for name in ("assignment", "for", "if", "while", "try", "with", "import", "class", "lambda", "numbers"):
        (tmp_path / f"texts/{name}.txt").write_text(pydoc_data.topics.topics[name])
    guide = GUIDE.read_text("utf-8")
    (recipe,) = re.findall(r"```yaml\n(name: .*?)```", guide, re.DOTALL)
    (tmp_path / "rewritten.yaml").write_text(recipe)
    commands = [line.strip() for line in guide.splitlines() if line.startswith("    smolforge run")]
    assert commands
    for command in commands:
        assert main(command.split()[1:]) == 0
    (kept,) = (tmp_path / "rewritten/artifacts").glob("corpus-*/kept")
    (trial,) = [line.strip() for line in guide.splitlines() if line.startswith("    smolforge corpus synthesize")]
    assert main(trial.replace("DOCUMENTS", str(kept)).split()[1:]) == 0
    (code,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    shown = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout
    assert re.search(r"^short: \d+ of \d+ kept", shown, re.MULTILINE)
    assert (tmp_path / "rewritten/work/requests.sqlite").is_file()


def test_the_command_tries_a_format_and_prints_what_was_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    with scripted(good) as server:
        words = ["corpus", "synthesize", "corpus/kept", "--endpoint", server.base_url, "--model", "m", "--sample", "5"]
        assert main([*words, "--format", "wikipedia", "--output", "a"]) == 0
        assert capsys.readouterr().out == "kept 5 of 5\n"
        short = ["--format", "wikipedia", "--cache", "a.replies", "--set", 'limits={"least_characters": 9000}']
        assert main([*words, *short, "--output", "b"]) == 0
        assert capsys.readouterr().out == "kept 0 of 5\n     5  finished\n"
        assert len(server.bodies) == 5
        for wrong, said in (
            (["--format", "wikipedia", "--output", "a"], "is there already"),
            (["--format", "wikipedi", "--output", "c"], "did you mean 'wikipedia'"),
            (["--format", "faq", "--output", "c", "--set", "samples"], "expected KEY=JSON"),
            (["--format", "faq", "--output", "c", "--set", "sample=3"], "sample"),
        ):
            assert main([*words, *wrong]) == 2
            assert said in capsys.readouterr().err
