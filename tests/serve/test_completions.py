"""Text completions: log-probabilities, echo, token ids; what lm-eval asks for."""

from __future__ import annotations

from typing import Any

import pytest

from smolforge import Engine
from tests.serve.client import Client

COMPLETIONS = "/v1/completions"
TEXT = "The capital of France is"
GREEDY = {"prompt": TEXT, "temperature": 0, "max_tokens": 8}


def first(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    reply = client.post(COMPLETIONS, asked)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json["choices"][0]
    return found


def test_a_text_is_continued_as_the_engine_continues_it(client: Client, engine: Engine) -> None:
    expected = engine.generate(TEXT, max_tokens=8)
    reply = client.post(COMPLETIONS, GREEDY).json
    assert reply["object"] == "text_completion"
    assert reply["choices"][0]["text"] == expected.text
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 8


def test_token_ids_are_as_good_as_their_text(client: Client, engine: Engine) -> None:
    ids = engine.codec.encode_text([TEXT])[0]
    assert first(client, {**GREEDY, "prompt": ids})["text"] == first(client, GREEDY)["text"]
    both = client.post(COMPLETIONS, {**GREEDY, "prompt": [ids, ids], "n": 2}).json
    assert [choice["index"] for choice in both["choices"]] == [0, 1, 2, 3]
    assert len({choice["text"] for choice in both["choices"]}) == 1
    assert both["usage"]["prompt_tokens"] == 2 * len(ids)


@pytest.mark.parametrize("max_tokens", [0, 1, 4])
def test_echo_scores_the_prompt_as_the_engine_scores_it(client: Client, engine: Engine, max_tokens: int) -> None:
    ids = engine.codec.encode_text([TEXT])[0]
    expected = engine.score_tokens([ids[:1]], [ids[1:]])[0]
    asked = {**GREEDY, "prompt": [ids], "echo": True, "logprobs": 1, "max_tokens": max_tokens}
    choice = first(client, asked)
    lists = choice["logprobs"]
    assert choice["text"].startswith(TEXT) and "".join(lists["tokens"]) == choice["text"]
    assert {len(part) for part in lists.values()} == {len(ids) + max_tokens}
    assert lists["token_logprobs"][0] is None and lists["top_logprobs"][0] is None
    assert lists["token_logprobs"][1 : len(ids)] == pytest.approx(expected.tolist(), abs=1e-4)
    written = zip(lists["tokens"], lists["top_logprobs"], strict=True)
    assert all(token == max(top, key=top.get) for token, top in list(written)[len(ids) :])  # greedy
    for token, offset in zip(lists["tokens"], lists["text_offset"], strict=True):
        assert choice["text"][offset : offset + len(token)] == token


def test_an_echo_without_log_probabilities_is_the_prompt(client: Client) -> None:
    assert first(client, {**GREEDY, "echo": True})["text"] == TEXT + first(client, GREEDY)["text"]


def test_offsets_count_characters_where_tokens_are_parts_of_them(client: Client, engine: Engine) -> None:
    text = "naïve 東京 🦜!"
    choice = first(client, {**GREEDY, "prompt": text, "echo": True, "logprobs": 0, "max_tokens": 0})
    assert choice["text"] == text
    offsets = choice["logprobs"]["text_offset"]
    assert offsets == sorted(offsets) and offsets[-1] == len(text) - 1
    assert len(set(choice["logprobs"]["tokens"])) > 1


def test_a_stream_joins_to_the_whole(client: Client) -> None:
    asked = {**GREEDY, "echo": True, "logprobs": 2}
    whole = first(client, asked)
    *chunks, done = client.events(COMPLETIONS, {**asked, "stream": True})
    assert done == "[DONE]"
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    parts = [choice["logprobs"] for choice in choices if choice["logprobs"]]
    assert {name: [one for part in parts for one in part[name]] for name in whole["logprobs"]} == whole["logprobs"]
    assert choices[-1]["finish_reason"] == whole["finish_reason"]


def test_only_as_many_as_are_returned_are_made(client: Client) -> None:
    assert "best_of" in client.post(COMPLETIONS, {**GREEDY, "best_of": 3}).error["message"]
    assert client.post(COMPLETIONS, {**GREEDY, "best_of": 1}).status == 200
