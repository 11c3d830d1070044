"""The client of generators against a server that misbehaves as scripted, and the cache under kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from smolforge.corpus.synthesize.cache import ReplyCache
from smolforge.corpus.synthesize.endpoint import Client, EndpointConfig, open_client
from smolforge.corpus.synthesize.request import Params, Request, Sample
from smolforge.errors import ConfigError, DataError, NetworkError
from tests.corpus.scripted_server import Body, Handler, Scripted, scripted


def ask(text: str, **options: Any) -> Request:
    return Request(({"role": "user", "content": text},), **options)


def asked(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def client(server: Scripted, folder: Path, **options: Any) -> Client:
    config = EndpointConfig(**{"model": "m", "base_url": server.base_url, "longest_wait": 5.0, **options})
    return open_client(config, folder / "requests.sqlite")


def echo(handler: Handler, body: Body) -> None:
    handler.say(f"{asked(body)}/{body['seed']}")


def test_replies_come_in_the_order_of_requests_whatever_order_they_are_answered_in(tmp_path: Path) -> None:
    second_came = threading.Event()

    def answer_the_first_last(handler: Handler, body: Body) -> None:
        if asked(body) == "0":
            assert second_came.wait(600)
        elif asked(body) == "3":
            second_came.set()
        echo(handler, body)

    with scripted(answer_the_first_last) as server, client(server, tmp_path) as generator:
        replies = list(generator.replies([ask(str(n), n=2, seed=5) for n in range(9)]))
    assert [[s.text for s in reply.samples] for reply in replies] == [[f"{n}/5", f"{n}/6"] for n in range(9)]
    assert replies[0].samples[0].tokens == (7, 3)


def test_a_question_asked_before_is_not_asked_again_at_any_address(tmp_path: Path) -> None:
    with scripted(echo) as server, client(server, tmp_path) as generator:
        first = list(generator.replies([ask("a"), ask("b"), ask("a")]))
    assert len(server.bodies) == 2
    with scripted(echo) as other, client(other, tmp_path) as generator:
        again = list(generator.replies([ask("a"), ask("b"), ask("a", n=2)]))
        assert generator.asked == 1
    assert [body["seed"] for body in other.bodies] == [1]
    assert [reply.samples[0] for reply in again] == [reply.samples[0] for reply in first]


@pytest.mark.parametrize(
    "change",
    [
        {"params": Params(temperature=0.1)},
        {"params": Params(extra={"top_k": 5})},
        {"schema": {"type": "object"}},
        {"seed": 1},
    ],
)
def test_everything_that_changes_an_answer_changes_the_key(change: dict[str, Any]) -> None:
    assert ask("a", **change).key("m") != ask("a").key("m") != ask("a").key("other")
    assert ask("a", n=3).key("m", 0) == ask("a").key("m")
    assert ask("a", n=3).key("m", 1) == ask("a", seed=1).key("m")


def test_the_body_is_what_openai_clients_send(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {}}
    params = Params(temperature=0.2, stop=("END",), extra={"chat_template_kwargs": {"enable_thinking": False}})
    with scripted(echo) as server, client(server, tmp_path) as generator:
        generator.reply(ask("a", params=params, schema=schema, seed=4))
    (body,) = server.bodies
    assert body["model"] == "m"
    assert body["seed"] == 4
    assert body["stop"] == ["END"]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["response_format"]["json_schema"]["schema"] == schema


def test_busy_and_broken_answers_are_tried_again(tmp_path: Path) -> None:
    def unlike_before(handler: Handler, body: Body) -> None:
        times[asked(body)] += 1
        if times[asked(body)] > 1:
            return echo(handler, body)
        match asked(body):
            case "busy":
                handler.send(429, b"slow down", Retry_After="0")
            case "ill":
                handler.send(503, b'{"error": {"message": "loading"}}')
            case "cut":
                handler.send(200, b"{", Content_Length="100")
            case "gone":
                handler.connection.close()
            case "garbled":
                handler.send(200, b"<html>welcome</html>")
            case "chunks":
                handler.send_response(200)
                handler.send_header("Transfer-Encoding", "chunked")
                handler.end_headers()
                handler.wfile.write(b"zz\r\n")
            case "empty":
                handler.send(200, b'{"choices": []}')
        return None

    times: Counter[str] = Counter()
    questions = ["busy", "ill", "cut", "gone", "garbled", "chunks", "empty"]
    with scripted(unlike_before) as server, client(server, tmp_path) as generator:
        replies = list(generator.replies(map(ask, questions)))
    assert [reply.samples[0].text for reply in replies] == [f"{question}/0" for question in questions]
    assert set(times.values()) == {2}


def test_retry_after_is_kept_to_up_to_the_longest_wait(tmp_path: Path) -> None:
    def busy(handler: Handler, body: Body) -> None:
        handler.send(429, b"", Retry_After="3600" if asked(body) == "long" else "Fri, 21 Nov 2003 10:00:00 GMT")

    with scripted(busy) as server, client(server, tmp_path, attempts=2) as generator:
        assert "after 1 attempts" in str(generator.reply(ask("long")).samples[0].failure)
        assert "after 2 attempts" in str(generator.reply(ask("a date that is past")).samples[0].failure)
    assert len(server.bodies) == 3


def test_a_server_that_trickles_or_never_ends_costs_its_own_request_only(tmp_path: Path) -> None:
    def drip(handler: Handler, body: Body) -> None:
        if asked(body) == "good":
            return echo(handler, body)
        if asked(body) == "huge":
            return handler.send(200, b" " * 5000)
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if asked(body) == "slow body" else b"HTTP/1.1 200")
        while not server.stop.wait(0.2):
            handler.wfile.write(b"x")
        return None

    with scripted(drip) as server:
        with client(server, tmp_path, timeout=2.0, attempts=1) as generator:
            samples = [reply.samples[0] for reply in generator.replies(map(ask, ["slow", "slow body"]))]
        with client(server, tmp_path, reply_bytes=1024) as generator:
            samples += [reply.samples[0] for reply in generator.replies(map(ask, ["huge", "good"]))]
    assert "no answer within 2 seconds" in str(samples[0].failure)
    assert "no answer within 2 seconds" in str(samples[1].failure)
    assert "more than 1024 bytes" in str(samples[2].failure)
    assert samples[3].text == "good/0"


def test_a_failure_is_remembered_and_asked_again_on_demand_only(tmp_path: Path) -> None:
    def refuse(handler: Handler, body: Body) -> None:
        handler.send(400, json.dumps({"error": {"message": "the prompt is too long"}}).encode())

    with scripted(refuse) as server, client(server, tmp_path) as generator:
        assert generator.reply(ask("a")).samples[0].failure == "status 400: the prompt is too long"
    assert len(server.bodies) == 1
    with scripted(echo) as server, client(server, tmp_path) as generator:
        assert generator.reply(ask("a")).samples[0].failure == "status 400: the prompt is too long"
    assert not server.bodies
    with scripted(refuse) as server, client(server, tmp_path, retry_failed=True) as generator:
        assert [reply.samples[0].text for reply in generator.replies([ask("a")] * 2)] == ["", ""]
        generator.reply(ask("a"))
    assert len(server.bodies) == 1
    with scripted(echo) as server, client(server, tmp_path, retry_failed=True) as generator:
        assert generator.reply(ask("a")).samples[0].text == "a/0"
    with scripted(refuse) as server, client(server, tmp_path, retry_failed=True) as generator:
        assert generator.reply(ask("a")).samples[0].text == "a/0"
        assert generator.cache.counts() == (1, 2)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"error": {"message": "wrong key sk-secret"}}, "refused the key in $SYNTHESIS_KEY"),
        (404, {"error": {"message": "nothing here"}}, "usually ends in /v1"),
        (400, {"error": {"message": "no such model", "code": "model_not_found"}}, "no model 'm'"),
        (302, {}, "redirects are not followed"),
    ],
)
def test_what_no_request_can_get_past_stops_with_what_to_do_and_without_the_key(
    status: int, body: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHESIS_KEY", "sk-secret")

    def refuse(handler: Handler, _: Body) -> None:
        handler.send(status, json.dumps(body).encode(), Location="http://127.0.0.1:1/")

    with scripted(refuse) as server:
        with client(server, tmp_path, key_variable="SYNTHESIS_KEY") as generator, pytest.raises(ConfigError) as error:
            generator.reply(ask("a"))
        assert generator.asked == 0
    assert words in str(error.value)
    assert "sk-secret" not in str(error.value)
    assert server.keys == ["Bearer sk-secret"]
    assert b"sk-secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_server_that_is_not_there_or_down_stops_the_run_and_blames_no_request(tmp_path: Path) -> None:
    with scripted(echo) as server:
        pass
    with client(server, tmp_path, attempts=1) as generator, pytest.raises(NetworkError, match="Is the server running"):
        generator.reply(ask("a"))
    assert ReplyCache(tmp_path / "requests.sqlite").counts() == (0, 0)
    with (
        scripted(lambda handler, _: handler.send(500, b"out of memory")) as server,
        client(server, tmp_path, attempts=1) as generator,
        pytest.raises(NetworkError, match="8 requests in a row failed"),
    ):
        list(generator.replies(ask(str(n)) for n in range(100)))
    assert len(server.bodies) < 40


@pytest.mark.parametrize("address", ["127.0.0.1:8080/v1", "ftp://host/v1", "http://me:pass@host/v1", "http:///v1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        EndpointConfig(model="m", base_url=address)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    config = EndpointConfig(model="m", base_url="http://127.0.0.1:1/v1", key_variable="NO_SUCH_KEY")
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        open_client(config, tmp_path / "requests.sqlite")
    with pytest.raises(ConfigError, match="base_url"):
        open_client(EndpointConfig(model="m"), tmp_path / "requests.sqlite")


def test_leaving_early_asks_no_more(tmp_path: Path) -> None:
    release = threading.Event()

    def hold(handler: Handler, body: Body) -> None:
        if asked(body) != "0":
            release.wait(600)
        echo(handler, body)

    with scripted(hold) as server:
        with client(server, tmp_path, concurrency=2) as generator:
            assert next(generator.replies(ask(str(n)) for n in range(1000))).samples[0].text == "0/0"
        release.set()
    assert len(server.bodies) <= 8


def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    path.write_bytes(b"something else" * 400)
    with pytest.raises(DataError, match="not a usable cache"):
        ReplyCache(path)
    assert path.read_bytes() == b"something else" * 400


WRITER = """
import sys
from pathlib import Path
from smolforge.corpus.synthesize.cache import ReplyCache
from smolforge.corpus.synthesize.request import Sample
cache = ReplyCache(Path(sys.argv[1]))
for number in range(1 << 20):
    cache.keep(Sample(f"{number:032x}", text="é" * 3000, tokens=(1, 2)), {"number": number})
    print(number, flush=True)
"""


def test_kill_9_in_the_middle_of_writing_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    last = -1
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for line in writer.stdout:
            last = max(last, int(line))
            if int(line) >= 25:
                os.kill(writer.pid, signal.SIGKILL)
                break
        last = max([last, *map(int, writer.stdout.read().split())])
        writer.wait()
        cache = ReplyCache(path)
        for number in range(last + 1):
            assert cache.find(f"{number:032x}") == Sample(f"{number:032x}", text="é" * 3000, tokens=(1, 2))
        assert cache.counts()[0] <= last + 2
        cache.close()
