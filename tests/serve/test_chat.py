"""Chat completions: whole and streamed, the same answer as the engine's own."""

from __future__ import annotations

from smolforge import Engine
from tests.serve.client import Client

QUESTION = [{"role": "user", "content": "Name three fruits."}]
GREEDY = {"messages": QUESTION, "temperature": 0, "max_tokens": 24}
CHAT = "/v1/chat/completions"


def test_a_chat_is_answered_as_the_engine_answers(client: Client, engine: Engine) -> None:
    from smolforge.generator import Sampling

    expected = engine.chat(QUESTION, sampling=Sampling(), max_tokens=24)
    reply = client.post(CHAT, GREEDY)
    assert reply.status == 200
    found = reply.json
    assert found["object"] == "chat.completion"
    assert found["choices"][0]["message"]["content"] == expected.text
    assert found["choices"][0]["finish_reason"] == ("length" if expected.finish == "length" else "stop")
    assert found["usage"]["completion_tokens"] == len(expected.tokens)


def test_a_stream_joins_to_the_whole_answer(client: Client) -> None:
    whole = client.post(CHAT, GREEDY).json
    *chunks, done = client.events(CHAT, {**GREEDY, "stream": True})
    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == whole["choices"][0]["message"]["content"]
