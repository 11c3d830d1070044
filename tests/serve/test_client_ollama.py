"""The ``ollama`` Python package as it is, against the real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import BaseModel

from smolforge import Engine
from smolforge.generator import Sampling
from tests.serve import offline
from tests.serve.client import Client

ollama = pytest.importorskip("ollama")

QUESTION = [{"role": "user", "content": "Name three fruits."}]
GREEDY = {"temperature": 0, "num_predict": 24}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    offline.only_loopback(monkeypatch)
    yield
    assert offline.LEFT == []


@pytest.fixture
def asked(client: Client) -> ollama.Client:
    return ollama.Client(client.url)


@pytest.fixture
def model(engine: Engine) -> str:
    return engine.model.name


def test_a_chat_whole_and_streamed_is_the_engines_answer(asked: ollama.Client, engine: Engine, model: str) -> None:
    expected = engine.chat(QUESTION, sampling=Sampling(), max_tokens=24)
    whole = asked.chat(model, QUESTION, options=GREEDY)
    assert whole.message.role == "assistant" and whole.message.content == expected.text
    assert whole.done and whole.done_reason == ("stop" if expected.finish == "stop" else "length")
    assert (whole.prompt_eval_count, whole.eval_count) == (expected.usage.prompt_tokens, len(expected.tokens))
    assert whole.total_duration >= whole.eval_duration + whole.prompt_eval_duration > 0
    *parts, last = asked.chat(model, QUESTION, options=GREEDY, stream=True)
    assert "".join(part.message.content for part in parts) == expected.text
    assert last.done and last.eval_count == len(expected.tokens) and not any(part.done for part in parts)


def test_sampling_options_are_the_engines(asked: ollama.Client, engine: Engine, model: str) -> None:
    sampling = Sampling(temperature=0.9, top_k=30, top_p=0.9, min_p=0.02, seed=7, repetition_penalty=1.2)
    expected = engine.chat(QUESTION, sampling=sampling, max_tokens=16, stop=["\n"])
    options = {"temperature": 0.9, "top_k": 30, "top_p": 0.9, "min_p": 0.02, "seed": 7, "repeat_penalty": 1.2}
    answer = asked.chat(model, QUESTION, options={**options, "num_predict": 16, "stop": ["\n"], "num_ctx": 2048})
    assert answer.message.content == expected.text


def test_generate_goes_through_the_template_and_raw_does_not(asked: ollama.Client, engine: Engine, model: str) -> None:
    system = {"role": "system", "content": "Answer briefly."}
    expected = engine.chat([system, *QUESTION], sampling=Sampling(), max_tokens=24)
    answer = asked.generate(model, "Name three fruits.", system="Answer briefly.", options=GREEDY)
    assert answer.response == expected.text
    *parts, last = asked.generate(model, "Once upon a time", raw=True, options=GREEDY, stream=True)
    assert "".join(part.response for part in parts) == engine.generate("Once upon a time", max_tokens=24).text
    assert last.done and last.eval_count == 24


def test_a_format_holds(asked: ollama.Client, model: str) -> None:
    class Person(BaseModel):
        name: str
        age: int

    question = [{"role": "user", "content": "Anna is 31 years old. Who is she, and how old?"}]
    answer = asked.chat(model, question, format=Person.model_json_schema(), options={"num_predict": 64})
    assert Person.model_validate_json(answer.message.content).age == 31
    free = asked.generate(model, "Describe Anna, 31, as JSON.", format="json", options={**GREEDY, "num_predict": 200})
    assert free.done_reason == "length" or isinstance(json.loads(free.response), dict)


def test_a_python_function_is_called_and_its_result_goes_on(asked: ollama.Client, model: str) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers.

        Args:
          a: first number
          b: second number
        """
        return a + b

    called = {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 2, "b": 3}}}]}
    first, second = ({"role": "user", "content": f"Add {pair}."} for pair in ("2 and 3", "4 and 5"))
    options = {"temperature": 0, "num_predict": 96}
    whole = asked.chat(model, [first, called, second], tools=[add], options=options).message
    assert [add(**found.function.arguments) for found in whole.tool_calls] == [9] and not whole.content
    *parts, last = asked.chat(model, [first, called, second], tools=[add], options=options, stream=True)
    assert [found for part in parts for found in part.message.tool_calls or ()] == list(whole.tool_calls)
    assert last.done and not any(part.message.content for part in parts)
    told = [first, called, {"role": "tool", "tool_name": "add", "content": "5"}]
    assert asked.chat(model, told, tools=[add], options=GREEDY).done


def test_log_probabilities(asked: ollama.Client, engine: Engine, model: str) -> None:
    expected = engine.chat(QUESTION, sampling=Sampling(), max_tokens=4, logprobs=2)
    answer = asked.chat(model, QUESTION, logprobs=True, top_logprobs=2, options={"temperature": 0, "num_predict": 4})
    assert [found.logprob for found in answer.logprobs] == [found.logprob for found in expected.logprobs]
    assert all(len(found.top_logprobs) == 2 for found in answer.logprobs)


def test_models_are_listed_and_shown(asked: ollama.Client, engine: Engine, model: str) -> None:
    (listed,) = asked.list().models
    assert listed.model == model and listed.size > 50_000_000 and listed.details.format == "gguf"
    assert listed.details.parameter_size == "135M" and listed.details.quantization_level == "Q4_1"
    shown = asked.show(model)
    assert shown.modelinfo["llama.context_length"] == engine.context and "<|im_start|>" in shown.template
    assert shown.capabilities == ["completion", "tools", "embedding"]
    (running,) = asked.ps().models
    assert running.model == model and running.context_length == engine.context


def test_embeddings_are_the_engines(asked: ollama.Client, engine: Engine, model: str) -> None:
    texts = ["a red apple", "the moon"]
    found = asked.embed(model, texts)
    assert np.allclose(found.embeddings, engine.embed(texts)) and found.prompt_eval_count > 4
    assert len(asked.embed(model, "word " * 3000).embeddings) == 1
    with pytest.raises(ollama.ResponseError) as refused:
        asked.embed(model, "word " * 3000, truncate=False)
    assert refused.value.status_code == 400


def test_an_empty_question_asks_for_the_model_alone(asked: ollama.Client, model: str) -> None:
    assert asked.generate(model, keep_alive="5m").done_reason == "load"
    assert asked.chat(model, keep_alive=0).done_reason == "load"


def test_what_is_not_supported_is_refused_by_name(asked: ollama.Client, client: Client, model: str) -> None:
    body = {"model": model, "messages": QUESTION, "stream": False}
    cases = [
        ("/api/chat", {**body, "options": {"mirostat": 1}}, "options.mirostat"),
        ("/api/chat", {**body, "options": {"num_ctx": 1 << 20}}, "num_ctx"),
        ("/api/chat", {**body, "messages": [{**QUESTION[0], "images": ["aGk="]}]}, "messages[0].images"),
        ("/api/chat", {**body, "think": True}, "think"),
        ("/api/chat", {**body, "format": "yaml"}, "format"),
        ("/api/chat", {**body, "frequency": 1}, "frequency"),
        ("/api/generate", {"model": model, "prompt": "x", "template": "{{ .Prompt }}"}, "template"),
        ("/api/generate", {"model": model, "prompt": "x", "context": [1, 2]}, "context"),
        ("/api/generate", {"model": model, "prompt": "x", "raw": True, "system": "y"}, "raw"),
        ("/api/embed", {"model": model, "input": "x", "dimensions": 8}, "dimensions"),
    ]
    for path, value, name in cases:
        reply = client.post(path, value)
        assert reply.status == 400 and name in reply.json["error"], (value, reply.body)
    with pytest.raises(ollama.ResponseError) as other:
        asked.chat("llama3", QUESTION)
    assert other.value.status_code == 404
    with pytest.raises(ollama.ResponseError):
        asked.pull("llama3")


def test_the_async_client_streams(client: Client, engine: Engine, model: str) -> None:
    async def ask() -> str:
        stream = await ollama.AsyncClient(client.url).chat(model, QUESTION, options=GREEDY, stream=True)
        return "".join([part.message.content async for part in stream])

    assert asyncio.run(ask()) == engine.chat(QUESTION, sampling=Sampling(), max_tokens=24).text
