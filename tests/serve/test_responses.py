"""Responses: the same answers as chats, in items, whole and as events."""

from __future__ import annotations

import json
from typing import Any

from tests.serve.client import Client
from tests.serve.test_chat_route import ASK, SCHEMA, WEATHER

RESPONSES = "/v1/responses"
GREEDY = {"input": "Name three fruits.", "temperature": 0, "max_output_tokens": 24}
CALL = {
    "input": ASK["messages"][0]["content"], "temperature": 0, "max_output_tokens": 80, "tool_choice": "required",
    "tools": [{"type": "function", **WEATHER["function"]}], "parallel_tool_calls": False,
}  # fmt: skip


def steady(response: dict[str, Any]) -> dict[str, Any]:
    """Leave out ids and times."""
    items = [{k: v for k, v in item.items() if k not in ("id", "call_id")} for item in response["output"]]
    return {"output": items, **{name: response[name] for name in ("status", "incomplete_details", "tools", "text")}}


def test_a_response_says_what_a_chat_says(client: Client) -> None:
    chat = {"messages": [{"role": "user", "content": GREEDY["input"]}], "temperature": 0, "max_tokens": 24}
    expected = client.post("/v1/chat/completions", chat).json
    found = client.post(RESPONSES, GREEDY).json
    (message,) = found["output"]
    assert found["object"] == "response" and message["type"] == "message"
    assert message["content"][0]["text"] == expected["choices"][0]["message"]["content"]
    assert found["usage"]["output_tokens"] == expected["usage"]["completion_tokens"]
    if expected["choices"][0]["finish_reason"] == "length":
        assert found["status"] == "incomplete" and found["incomplete_details"] == {"reason": "max_output_tokens"}


def test_events_are_numbered_and_end_with_the_whole_response(client: Client) -> None:
    for asked in (GREEDY, CALL, {**GREEDY, "include": ["message.output_text.logprobs"], "top_logprobs": 1}):
        whole = client.post(RESPONSES, asked).json
        events = list(client.events(RESPONSES, {**asked, "stream": True}))
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert [event["type"] for event in events[:3]] == [
            "response.created", "response.in_progress", "response.output_item.added",
        ]  # fmt: skip
        assert events[-1]["type"] == f"response.{whole['status']}"
        assert steady(events[-1]["response"]) == steady(whole)
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert done == events[-1]["response"]["output"]


def test_a_call_is_an_item_of_its_own_and_its_result_can_be_given_back(client: Client) -> None:
    (call,) = client.post(RESPONSES, CALL).json["output"]
    assert call["type"] == "function_call" and call["name"] == "get_weather"
    assert set(json.loads(call["arguments"])) == {"city"}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees"}
    told = [{"role": "user", "content": CALL["input"]}, call, result]
    after = client.post(RESPONSES, {**CALL, "input": told, "tool_choice": "none"})
    assert after.status == 200 and after.json["output"][0]["type"] == "message"


def test_an_output_can_be_given_back_as_it_is(client: Client) -> None:
    first = client.post(RESPONSES, GREEDY).json
    more = [{"role": "user", "content": GREEDY["input"]}, *first["output"], {"role": "user", "content": "More."}]
    assert client.post(RESPONSES, {**GREEDY, "input": more, "instructions": "Be brief."}).status == 200


def test_a_schema_is_kept(client: Client) -> None:
    form = {"format": {"type": "json_schema", "name": "fruit", "schema": SCHEMA, "strict": True}}
    found = client.post(RESPONSES, {**GREEDY, "max_output_tokens": 100, "text": form}).json
    assert set(json.loads(found["output"][0]["content"][0]["text"])) == {"fruit", "count"}


def test_what_would_need_storage_is_refused_by_name(client: Client) -> None:
    wrong: dict[str, Any] = {
        "store": True, "previous_response_id": "resp_1", "background": True, "conversation": "c", "truncation": "auto",
    }  # fmt: skip
    for field, value in wrong.items():
        assert client.post(RESPONSES, {**GREEDY, field: value}).error["param"] == field
    missing = client.post(RESPONSES, {**GREEDY, "input": [{"type": "function_call", "name": "f"}]}).error
    assert missing["param"] == "input[0].call_id"
