"""Eight requests at once: llama-server with eight slots over HTTP against our scheduler in this process.

In: eight different prompts, each answered with a fixed number of greedy tokens (no stop, no drafts), so that both sides
do the same work. Out: generated tokens per second over all requests, from the first one's start to the last one's end.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from smolforge.engine.engine import Engine
from smolforge.generator import Request

from . import models, peer
from .calm import in_turn
from .claims import Claim
from .extraction import read_documents
from .setting import Setting

REQUESTS, TOKENS, CONTEXT = 8, 128, 1024
TARGET = 1.5
# Continuous batching is on by default. Each slot has a whole CONTEXT.
PEER_OPTIONS: tuple[str, ...] = ("-np", str(REQUESTS), "--cache-ram", "0")


def _prompts(engine: Engine, turn: int) -> list[list[int]]:
    """Eight requests to retell a document, some 200 tokens each; the number in front keeps every cache out of it."""
    texts = [chat[-1]["content"] for chat in read_documents()[1][:REQUESTS]]
    chats = [[{"role": "system", "content": f"Request {turn}.{i}: retell the text."}, {"role": "user", "content": text}]
             for i, text in enumerate(texts)]  # fmt: skip
    return [engine.codec.prompt(chat, "no_think") for chat in chats]


def _peer_rate(server: peer.Server, prompts: list[list[int]]) -> float:
    """Tokens per second of llama-server; each client has a thread of its own."""

    def answer(prompt: list[int]) -> int:
        body = {"prompt": prompt, "n_predict": TOKENS, "temperature": 0, "ignore_eos": True}
        return int(server.ask("/completion", body)["tokens_predicted"])

    with ThreadPoolExecutor(REQUESTS) as clients:
        start = time.perf_counter()
        made = sum(clients.map(answer, prompts))
        return made / (time.perf_counter() - start)


def _our_rate(engine: Engine, prompts: list[list[int]]) -> float:
    start = time.perf_counter()
    streams = [engine.submit(Request(prompt, TOKENS, speculate=False)) for prompt in prompts]
    made = sum(len(stream.answer().tokens) for stream in streams)
    return made / (time.perf_counter() - start)


def row(setting: Setting) -> list[Claim]:
    """Rounds of eight requests in turn; each round has prompts nobody has seen."""
    path, rounds = models.small(), itertools.count()
    with (
        Engine.open(path, threads=setting.threads, context=CONTEXT) as engine,
        peer.server(path, threads=setting.threads, context=CONTEXT * REQUESTS, options=PEER_OPTIONS) as server,
    ):
        _our_rate(engine, _prompts(engine, next(rounds)))
        _peer_rate(server, _prompts(engine, next(rounds)))
        pair = in_turn(
            lambda: _our_rate(engine, _prompts(engine, next(rounds))),
            lambda: _peer_rate(server, _prompts(engine, next(rounds))),
            setting.turns,
            [server.pid],
        )
    note = f"peer over HTTP, ours in process; {pair.note}"
    return [Claim("135M, 8 requests at once", pair.ours, pair.peer, TARGET, "tok/s in all", note=note)]
