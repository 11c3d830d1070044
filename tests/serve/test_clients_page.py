"""The Python that docs/reference/clients.md shows runs as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve import offline
from tests.serve.client import Client

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "clients.md"
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    offline.only_loopback(monkeypatch)
    yield
    assert offline.LEFT == []


def test_every_example_runs(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("openai", "ollama", "langchain_openai"):
        pytest.importorskip(package)
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(example.replace(ADDRESS, client.url), names)
        assert capsys.readouterr().out.strip()
    assert names["Person"].__name__ == "Person"  # type: ignore[attr-defined]
