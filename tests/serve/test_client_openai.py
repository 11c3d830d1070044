"""The ``openai`` Python package as it is, against the real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from smolforge import Engine
from smolforge.generator import Sampling
from tests.serve import offline
from tests.serve.client import PATIENCE, Client

openai = pytest.importorskip("openai")

QUESTION = [{"role": "user", "content": "Name three fruits."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Say what the weather is in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASK_WEATHER = [{"role": "user", "content": "What is the weather in Rome?"}]


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    offline.only_loopback(monkeypatch)
    yield
    assert offline.LEFT == []


@pytest.fixture
def asked(client: Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{client.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def model(asked: openai.OpenAI) -> str:
    (only,) = asked.models.list().data
    return str(only.id)


def test_a_chat_whole_and_streamed_is_the_engines_answer(asked: openai.OpenAI, engine: Engine, model: str) -> None:
    expected = engine.chat(QUESTION, sampling=Sampling(), max_tokens=24)
    settings: dict[str, Any] = {"model": model, "messages": QUESTION, "temperature": 0, "max_tokens": 24}
    whole = asked.chat.completions.create(**settings)
    assert whole.choices[0].message.content == expected.text
    assert whole.usage.completion_tokens == len(expected.tokens)
    chunks = list(asked.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == expected.text
    assert chunks[-1].usage.completion_tokens == len(expected.tokens)


def test_several_choices_seeds_biases_and_log_probabilities(asked: openai.OpenAI, engine: Engine, model: str) -> None:
    settings: dict[str, Any] = {"model": model, "messages": QUESTION, "max_tokens": 8, "seed": 3, "temperature": 0.8}
    two = asked.chat.completions.create(**settings, n=2, logprobs=True, top_logprobs=2)
    assert [choice.index for choice in two.choices] == [0, 1]
    one = asked.chat.completions.create(**settings)
    assert one.choices[0].message.content == two.choices[0].message.content
    assert all(len(found.top_logprobs) == 2 and found.bytes for found in two.choices[0].logprobs.content)
    (banned,) = engine.codec.encode_text(["1"])[0]
    free = asked.chat.completions.create(model=model, messages=QUESTION, temperature=0, max_tokens=8)
    biased = asked.chat.completions.create(
        model=model, messages=QUESTION, temperature=0, max_tokens=8, logit_bias={str(banned): -100}
    )
    assert "1" in free.choices[0].message.content and "1" not in biased.choices[0].message.content


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_tools_are_called_whole_and_streamed(asked: openai.OpenAI, model: str, choice: Any) -> None:
    settings: dict[str, Any] = {"model": model, "messages": ASK_WEATHER, "tools": [WEATHER], "tool_choice": choice}
    settings |= {"parallel_tool_calls": False, "temperature": 0, "max_tokens": 96}
    whole = asked.chat.completions.create(**settings).choices[0]
    assert whole.finish_reason == "tool_calls" and whole.message.content is None
    (call,) = whole.message.tool_calls
    assert call.function.name == "get_weather" and set(json.loads(call.function.arguments)) == {"city"}
    with asked.chat.completions.stream(**settings) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.message.tool_calls[0].function.arguments == call.function.arguments
    told = [
        *ASK_WEATHER, whole.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"},
    ]  # fmt: skip
    after = asked.chat.completions.create(model=model, messages=told, tools=[WEATHER], max_tokens=32)
    assert after.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_parse_gives_a_pydantic_object(asked: openai.OpenAI, model: str) -> None:
    messages = [{"role": "user", "content": "Anna is 31 years old. Who is she, and how old?"}]
    parsed = asked.chat.completions.parse(model=model, messages=messages, response_format=Person, max_tokens=64)
    assert parsed.choices[0].message.parsed == Person(name="Anna", age=31)
    with asked.chat.completions.stream(model=model, messages=messages, response_format=Person, max_tokens=64) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == Person(name="Anna", age=31)


def test_responses_whole_streamed_and_parsed(asked: openai.OpenAI, engine: Engine, model: str) -> None:
    expected = engine.chat(
        [{"role": "system", "content": "Answer briefly."}, *QUESTION], sampling=Sampling(), max_tokens=24
    )
    settings: dict[str, Any] = {"model": model, "input": "Name three fruits.", "instructions": "Answer briefly."}
    settings |= {"temperature": 0, "max_output_tokens": 24}
    whole = asked.responses.create(**settings)
    assert whole.output_text == expected.text and whole.usage.output_tokens == len(expected.tokens)
    events = list(asked.responses.create(**settings, stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == expected.text
    assert events[0].type == "response.created"
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.output_text == expected.text
    parsed = asked.responses.parse(
        model=model, input="Anna is 31 years old. Who is she, and how old?", text_format=Person, max_output_tokens=64
    )
    assert parsed.output_parsed == Person(name="Anna", age=31)


def test_responses_call_functions(asked: openai.OpenAI, model: str) -> None:
    tool = {"type": "function", "strict": False, **WEATHER["function"]}  # type: ignore[dict-item]
    called = asked.responses.create(
        model=model, input="What is the weather in Rome?", tools=[tool], tool_choice="required", max_output_tokens=96,
        parallel_tool_calls=False, temperature=0,
    )  # fmt: skip
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert call.name == "get_weather" and set(json.loads(call.arguments)) == {"city"}
    told = [
        *ASK_WEATHER, call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]  # fmt: skip
    after = asked.responses.create(model=model, input=told, tools=[tool], max_output_tokens=24)
    assert after.status in ("completed", "incomplete")


def test_completions_and_embeddings(asked: openai.OpenAI, engine: Engine, model: str) -> None:
    found = asked.completions.create(model=model, prompt="Once upon a time", temperature=0, max_tokens=8)
    assert found.choices[0].text == engine.generate("Once upon a time", max_tokens=8).text
    texts = ["a red apple", "the moon"]
    rows = asked.embeddings.create(model=model, input=texts).data  # the client asks for base64
    np.testing.assert_array_equal(np.float32([row.embedding for row in rows]), engine.embed(texts))


def test_the_async_client_asks_many_at_once(client: Client, engine: Engine, model: str) -> None:
    questions = [f"What is {i} plus {i}?" for i in range(6)]
    expected = [answer.text for answer in engine.batch(questions, sampling=Sampling(), max_tokens=12)]

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{client.url}/v1", api_key="none", max_retries=0) as asked:
            asking = [
                asked.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": text}], temperature=0, max_tokens=12
                )
                for text in questions
            ]
            return [done.choices[0].message.content for done in await asyncio.gather(*asking)]

    assert asyncio.run(ask_all()) == expected


def test_what_is_wrong_comes_as_the_clients_own_errors(asked: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError, match="audio") as refused:
        asked.chat.completions.create(model=model, messages=QUESTION, audio={"format": "wav", "voice": "ash"})
    assert refused.value.param == "audio"
    with pytest.raises(openai.NotFoundError):
        asked.chat.completions.create(model="gpt-4o", messages=QUESTION)
    with pytest.raises(openai.BadRequestError):
        asked.chat.completions.create(model=model, messages=QUESTION, max_tokens=1 << 20)
