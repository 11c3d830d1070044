"""``langchain-openai`` as it is, against the real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from smolforge import Engine
from smolforge.generator import Sampling
from tests.serve import offline
from tests.serve.client import PATIENCE, Client

langchain = pytest.importorskip("langchain_openai")

QUESTION = [{"role": "user", "content": "Name three fruits."}]


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    offline.only_loopback(monkeypatch)
    yield
    assert offline.LEFT == []


@pytest.fixture
def chat(client: Client, engine: Engine) -> Any:
    return langchain.ChatOpenAI(
        base_url=f"{client.url}/v1", api_key="none", model=engine.model.name, temperature=0, max_tokens=48,
        max_retries=0, timeout=PATIENCE,
    )  # fmt: skip


@pytest.fixture
def expected(engine: Engine) -> str:
    return engine.chat(QUESTION, sampling=Sampling(), max_tokens=48).text


def test_invoke_and_stream(chat: Any, expected: str) -> None:
    answer = chat.invoke("Name three fruits.")
    assert answer.content == expected and answer.usage_metadata["output_tokens"] > 0
    assert "".join(piece.content for piece in chat.stream("Name three fruits.")) == expected


def test_batch_keeps_the_order(chat: Any, engine: Engine) -> None:
    questions = [f"What is {i} plus {i}?" for i in range(4)]
    answers = engine.batch(questions, sampling=Sampling(), max_tokens=48)
    assert [found.content for found in chat.batch(questions)] == [answer.text for answer in answers]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat: Any, method: str) -> None:
    reader = chat.with_structured_output(Person, method=method)
    found = reader.invoke("Anna is 31 years old. Who is she, and how old?")
    assert isinstance(found, Person) and (method == "function_calling" or found == Person(name="Anna", age=31))


def test_tools_are_bound_called_and_told(chat: Any) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    def get_weather(city: str) -> str:
        """Say what the weather is in a city."""
        return f"sunny in {city}"

    bound = chat.bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False)
    asked = HumanMessage("What is the weather in Rome?")
    answer = bound.invoke([asked])
    (call,) = answer.tool_calls
    assert call["name"] == "get_weather" and isinstance(call["args"]["city"], str)
    gathered = None
    for piece in bound.stream([asked]):
        gathered = piece if gathered is None else gathered + piece
    assert gathered is not None and gathered.tool_calls[0]["args"] == call["args"]
    told = [asked, answer, ToolMessage("sunny in Rome", tool_call_id=call["id"])]
    after = chat.bind_tools([get_weather]).invoke(told)
    assert isinstance(after.content, str) and "<tool_call>" not in after.content


def test_embeddings(client: Client, engine: Engine) -> None:
    embedder = langchain.OpenAIEmbeddings(
        base_url=f"{client.url}/v1", api_key="none", model=engine.model.name,
        check_embedding_ctx_length=False,  # otherwise it cuts texts with tiktoken, which fetches its tables
    )  # fmt: skip
    texts = ["a red apple", "the moon"]
    np.testing.assert_allclose(embedder.embed_documents(texts), engine.embed(texts), atol=1e-6)
