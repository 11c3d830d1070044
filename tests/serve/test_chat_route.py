"""Chat completions: whole and streamed, the same answer as the engine's own; tools, schemas, several choices."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from smolforge import Engine
from smolforge.generator import Sampling
from tests.serve.client import Client

QUESTION = [{"role": "user", "content": "Name three fruits."}]
GREEDY = {"messages": QUESTION, "temperature": 0, "max_tokens": 24}
CHAT = "/v1/chat/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "description": "The time", "parameters": None}}
ASK = {"messages": [{"role": "user", "content": "What is the weather in Paris?"}], "temperature": 0, "max_tokens": 80}


def joined(chunks: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    """Put the deltas of one choice together as a client does."""
    message: dict[str, Any] = {"content": "", "tool_calls": []}
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["index"] != index:
                continue
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            for call in delta.get("tool_calls", ()):
                if call["index"] == len(message["tool_calls"]):
                    assert call["type"] == "function" and call["id"].startswith("call_")
                    message["tool_calls"].append({"name": call["function"]["name"], "arguments": ""})
                message["tool_calls"][call["index"]]["arguments"] += call["function"]["arguments"]
            message["finish_reason"] = choice["finish_reason"] or message.get("finish_reason")
    return message


def test_a_chat_is_answered_as_the_engine_answers(client: Client, engine: Engine) -> None:
    expected = engine.chat(QUESTION, sampling=Sampling(), max_tokens=24)
    reply = client.post(CHAT, GREEDY)
    assert reply.status == 200
    found = reply.json
    assert found["object"] == "chat.completion"
    assert found["choices"][0]["message"]["content"] == expected.text
    assert found["choices"][0]["finish_reason"] == expected.finish
    assert found["usage"]["completion_tokens"] == len(expected.tokens)
    assert found["usage"]["prompt_tokens"] == expected.usage.prompt_tokens


def test_a_stream_joins_to_the_whole_answer(client: Client) -> None:
    whole = client.post(CHAT, GREEDY).json["choices"][0]
    *chunks, done = client.events(CHAT, {**GREEDY, "stream": True})
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    message = joined(chunks)
    assert message["content"] == whole["message"]["content"]
    assert message["finish_reason"] == whole["finish_reason"]


def test_the_last_chunk_counts_where_it_was_asked_for(client: Client) -> None:
    asked = {**GREEDY, "stream": True, "stream_options": {"include_usage": True}}
    *_, last, _ = client.events(CHAT, asked)
    assert last["choices"] == [] and last["usage"]["completion_tokens"] > 0
    *_, last, _ = client.events(CHAT, {**GREEDY, "stream": True})
    assert "usage" not in last and last["timings"]["predicted_n"] > 0


def test_a_second_request_finds_its_prompt_cached(client: Client) -> None:
    asked = {**GREEDY, "messages": [{"role": "user", "content": "Tell me about the cached tokens of a prompt. " * 8}]}
    client.post(CHAT, asked)
    found = client.post(CHAT, asked).json
    prompt = found["usage"]["prompt_tokens"]
    assert found["usage"]["prompt_tokens_details"]["cached_tokens"] == prompt - 1
    assert found["timings"]["cache_n"] == prompt - 1 and found["timings"]["prompt_n"] == 1


def test_choices_differ_by_their_seeds_and_come_again(client: Client) -> None:
    asked = {**GREEDY, "temperature": 1.5, "n": 3, "seed": 5}
    first, again = (client.post(CHAT, asked).json["choices"] for _ in range(2))
    texts = [choice["message"]["content"] for choice in first]
    assert [choice["index"] for choice in first] == [0, 1, 2] and len(set(texts)) == 3
    assert texts == [choice["message"]["content"] for choice in again]
    *chunks, _ = client.events(CHAT, {**asked, "stream": True})
    assert [joined(chunks, i)["content"] for i in range(3)] == texts


def test_stop_strings_end_the_answer_before_them(client: Client) -> None:
    text = client.post(CHAT, GREEDY).json["choices"][0]["message"]["content"]
    stop = text[5:8]
    found = client.post(CHAT, {**GREEDY, "stop": [stop]}).json["choices"][0]
    assert found["message"]["content"] == text[: text.index(stop)] and found["finish_reason"] == "stop"


def test_logit_bias_bans_and_forces_tokens(client: Client, engine: Engine) -> None:
    token = engine.codec.encode_text([" banana"])[0][0]
    found = client.post(CHAT, {**GREEDY, "max_tokens": 3, "logit_bias": {str(token): 100}}).json
    assert found["choices"][0]["message"]["content"] == " banana" * 3


def test_logprobs_spell_the_answer_with_bytes(client: Client) -> None:
    asked = {**GREEDY, "logprobs": True, "top_logprobs": 2}
    choice = client.post(CHAT, asked).json["choices"][0]
    listed = choice["logprobs"]["content"]
    spelled = bytes(byte for token in listed for byte in token["bytes"]).decode()
    assert spelled == choice["message"]["content"]
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] <= 0 for token in listed)
    assert all(token["token"] == token["top_logprobs"][0]["token"] for token in listed)  # greedy
    *chunks, _ = client.events(CHAT, {**asked, "stream": True})
    streamed = [c["choices"][0]["logprobs"] for c in chunks if c["choices"] and c["choices"][0]["logprobs"]]
    assert [token for part in streamed for token in part["content"]] == listed


SCHEMA = {"type": "object", "properties": {"fruit": {"type": "string"}, "count": {"type": "integer"}},
          "required": ["fruit", "count"], "additionalProperties": False}  # fmt: skip


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_schema", "json_schema": {"name": "fruit", "schema": SCHEMA, "strict": True}},
        {"type": "json_schema", "schema": SCHEMA},
        {"type": "json_object", "schema": SCHEMA},
    ],
)
def test_a_schema_is_kept_in_every_shape_it_may_be_given(client: Client, form: dict[str, Any]) -> None:
    reply = client.post(CHAT, {**GREEDY, "max_tokens": 100, "response_format": form})
    jsonschema.validate(json.loads(reply.json["choices"][0]["message"]["content"]), SCHEMA)


def test_a_json_object_is_one(client: Client) -> None:
    asked = {**GREEDY, "max_tokens": 200, "response_format": {"type": "json_object"}}
    assert isinstance(json.loads(client.post(CHAT, asked).json["choices"][0]["message"]["content"]), dict)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_call_that_must_be_made_is_made(client: Client, choice: Any) -> None:
    asked = {**ASK, "tools": [WEATHER], "tool_choice": choice, "parallel_tool_calls": False}
    found = client.post(CHAT, asked).json["choices"][0]
    assert found["finish_reason"] == "tool_calls" and found["message"]["content"] is None
    (call,) = found["message"]["tool_calls"]
    assert call["type"] == "function" and call["function"]["name"] == "get_weather"
    jsonschema.validate(json.loads(call["function"]["arguments"]), WEATHER["function"]["parameters"])
    *chunks, _ = client.events(CHAT, {**asked, "stream": True})
    message = joined(chunks)
    assert message["finish_reason"] == "tool_calls" and message["content"] == ""
    assert message["tool_calls"] == [call["function"]]


def test_a_named_tool_is_the_one_that_is_called(client: Client) -> None:
    choice = {"type": "function", "function": {"name": "get_time"}}
    found = client.post(CHAT, {**ASK, "tools": [WEATHER, CLOCK], "tool_choice": choice}).json["choices"][0]
    assert {call["function"]["name"] for call in found["message"]["tool_calls"]} == {"get_time"}


def test_no_call_is_made_where_none_may_be(client: Client) -> None:
    found = client.post(CHAT, {**ASK, "tools": [WEATHER], "tool_choice": "none"}).json["choices"][0]
    assert "tool_calls" not in found["message"] and found["message"]["content"]


def test_the_result_of_a_call_can_be_given_back(client: Client) -> None:
    asked = {**ASK, "tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False}
    message = client.post(CHAT, asked).json["choices"][0]["message"]
    told = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "21 degrees, sunny"}
    reply = client.post(CHAT, {**ASK, "messages": [*ASK["messages"], message, told], "tools": [WEATHER]})
    assert reply.status == 200, reply.body


def test_parts_of_a_message_are_its_text(client: Client) -> None:
    parts = [{"type": "text", "text": "Name three"}, {"type": "text", "text": " fruits."}]
    asked = {**GREEDY, "messages": [{"role": "user", "content": parts}]}
    assert client.post(CHAT, asked).json["choices"] == client.post(CHAT, GREEDY).json["choices"]


def test_the_defaults_are_the_engines_and_a_seed_repeats_them(client: Client, engine: Engine) -> None:
    expected = engine.chat(QUESTION, sampling=Sampling(temperature=0.6, top_p=0.95, seed=9), max_tokens=16).text
    found = client.post(CHAT, {"messages": QUESTION, "max_completion_tokens": 16, "seed": 9}).json
    assert found["choices"][0]["message"]["content"] == expected
