"""Reasoning: switched and bounded by every field that clients use for it, and told apart from the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from smolforge import Engine
from smolforge.generator import ReasoningDelta
from smolforge.serve.calls import Said
from smolforge.serve.response_items import Items
from tests.engine.tiny_model import write_tiny_model
from tests.serve.client import Client
from tests.serve.conftest import serving
from tests.serve.test_chat_route import joined

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "turn on the lamp"}], "temperature": 0}
SPOKEN = "ZXQ@%^"  # what the random model is made to say, one after the other, where it may think behind its <think>


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of a small random model that has a think block."""
    folder = write_tiny_model(tmp_path_factory.mktemp("tiny") / "thinker")
    with Engine.open(folder, threads=1, cache=False, kv_bytes=64 << 20) as engine, serving(engine) as (client, _):
        assert engine.model.think is not None
        tokens = [engine.model.think[0], *(ids[0] for ids in engine.codec.encode_text(list(SPOKEN)))]
        bias = {str(token): 100 - 5 * place for place, token in enumerate(tokens)}
        ASK.update(logit_bias=bias, repetition_penalty=10, max_tokens=12)
        yield client


def ask(client: Client, **more: Any) -> dict[str, Any]:
    reply = client.post(CHAT, {**ASK, **more})
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


def thought(found: dict[str, Any]) -> int:
    return int(found["usage"]["completion_tokens_details"]["reasoning_tokens"])


@pytest.mark.parametrize(
    "switch",
    [
        {"thinking_token_budget": 3},
        {"reasoning_budget": 3},
        {"reasoning_effort": "high", "reasoning_budget": 3},
        {"chat_template_kwargs": {"enable_thinking": True}, "thinking_token_budget": 3},
    ],
)
def test_a_budget_bounds_the_reasoning_and_an_answer_follows(thinker: Client, switch: dict[str, Any]) -> None:
    found = ask(thinker, **switch)
    message = found["choices"][0]["message"]
    assert 3 <= thought(found) <= 5  # the line end that closes a block counts
    assert message["reasoning_content"] == message["reasoning"] == SPOKEN[:3]
    assert message["content"].startswith(SPOKEN[3:])


@pytest.mark.parametrize(
    "switch",
    [
        {},
        {"reasoning_effort": "none"},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning_budget": 0},
        {"reasoning_effort": "high", "thinking_token_budget": 0},
    ],
)
def test_without_it_there_is_none(thinker: Client, switch: dict[str, Any]) -> None:
    found = ask(thinker, **switch)
    assert thought(found) == 0 and "reasoning_content" not in found["choices"][0]["message"]
    assert found["choices"][0]["message"]["content"].startswith(SPOKEN)


def test_a_stream_tells_reasoning_and_answer_apart(thinker: Client) -> None:
    whole = ask(thinker, reasoning_budget=3)["choices"][0]["message"]
    *chunks, _ = thinker.events(CHAT, {**ASK, "reasoning_budget": 3, "stream": True})
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    for name in ("reasoning_content", "reasoning"):
        assert "".join(delta.get(name, "") for delta in deltas) == whole[name]
    assert joined(chunks)["content"] == whole["content"]


def test_log_probabilities_are_the_answers_alone(thinker: Client) -> None:
    choice = ask(thinker, reasoning_budget=3, logprobs=True)["choices"][0]
    spelled = b"".join(bytes(one["bytes"]) for one in choice["logprobs"]["content"]).decode(errors="replace")
    assert spelled.lstrip("\n").startswith(SPOKEN[3:]) and SPOKEN[2] not in spelled


def test_a_response_has_the_reasoning_as_an_item_before_the_message() -> None:
    items = Items()
    for event in (ReasoningDelta("a"), ReasoningDelta("b")):
        assert [name for name, _ in items.reason(event.text)][-1] == "response.reasoning_text.delta"
    names = [name for name, _ in items.part(Said("c"))]
    assert names[:3] == ["response.reasoning_text.done", "response.content_part.done", "response.output_item.done"]
    list(items.end("completed"))
    assert [(item["type"], item["content"][0]["text"]) for item in items.done] == [
        ("reasoning", "ab"),
        ("message", "c"),
    ]


def test_what_was_thought_before_can_be_given_back_under_either_name(thinker: Client) -> None:
    for name in ("reasoning_content", "reasoning"):
        said = {"role": "assistant", "content": "done", name: "a lamp"}
        asked = {**ASK, "messages": [*ASK["messages"], said, *ASK["messages"]]}
        assert thinker.post(CHAT, asked).status == 200


def test_fields_that_contradict_each_other_are_refused(thinker: Client) -> None:
    for wrong in (
        {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}},
        {"reasoning_budget": 5, "thinking_token_budget": 5},
        {"max_completion_tokens": 3},
    ):
        assert "contradict" in thinker.post(CHAT, {**ASK, **wrong}).error["message"]


def test_a_model_without_a_think_block_says_so(client: Client) -> None:
    reply = client.post(CHAT, {**ASK, "reasoning_effort": "low"})
    assert reply.status == 400 and "think" in reply.error["message"]
    assert client.post(CHAT, {**ASK, "reasoning_effort": "none"}).status == 200
