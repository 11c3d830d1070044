"""Structured extraction: the same documents, prompts and JSON schema through llama-server and through our engine.

In: ``documents.json``. Out: seconds per answer of both sides, and the counts that show that neither wins by answering
less: tokens per answer, and how many answers satisfy the schema.
"""

from __future__ import annotations

import itertools
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from smolforge.engine.engine import Engine

from . import models, peer
from .calm import in_turn, watched
from .claims import Claim
from .setting import Setting

MAX_TOKENS = 512
CONTEXT = 4096
TARGET = 4.0
SYSTEM = (
    "You read a document and write the data in it as one line of compact JSON without spaces between keys and values. "
    "Copy names, places and addresses exactly as they stand in the document."
)
# llama.cpp's fastest settings for this work, found by trying them (docs/lab.md). Its prompt cache keeps the start that
# the prompts share in the slot.
PEER_OPTIONS: tuple[str, ...] = (
    "-np", "1", "--spec-type", "ngram-map-k", "--spec-ngram-map-k-size-n", "3", "--spec-ngram-map-k-size-m", "8",
    "--spec-draft-n-max", "8",
)  # fmt: skip
SLOTS = 8  # where many documents are there at once; drafts bring it nothing then
TOGETHER_OPTIONS: tuple[str, ...] = ("-np", str(SLOTS), "--cache-ram", "0")

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Answer:
    """One answer: its text, its tokens and the seconds from asking to having it whole."""

    text: str
    tokens: int
    seconds: float


def read_documents() -> tuple[dict[str, Any], list[Messages]]:
    """The schema, and a chat for each document: instruction, one worked example, the document."""
    data = json.loads(Path(__file__).with_name("documents.json").read_text(encoding="utf-8"))
    example = json.dumps(data["example"]["answer"], ensure_ascii=False, separators=(",", ":"))
    start = [("system", SYSTEM), ("user", data["example"]["text"]), ("assistant", example)]
    chats = [[*start, ("user", text)] for text in data["documents"]]
    return data["schema"], [[{"role": role, "content": text} for role, text in chat] for chat in chats]


def ask_peer(server: peer.Server, prompt: Sequence[int], schema: dict[str, Any]) -> Answer:
    """One greedy answer of llama-server under ``json_schema``, asked with our token ids."""
    body = {"prompt": prompt, "json_schema": schema, "n_predict": MAX_TOKENS, "temperature": 0, "cache_prompt": True}
    start = time.perf_counter()
    given = server.ask("/completion", body)
    return Answer(given["content"], given["tokens_predicted"], time.perf_counter() - start)


def ask_ours(engine: Engine, chat: Messages, schema: dict[str, Any]) -> Answer:
    """One greedy answer of ours under the same schema."""
    start = time.perf_counter()
    answer = engine.chat(chat, schema=schema, max_tokens=MAX_TOKENS)
    return Answer(answer.text, len(answer.tokens), time.perf_counter() - start)


def valid(answers: Sequence[Answer], schema: dict[str, Any]) -> int:
    """How many answers are JSON that satisfies the schema."""
    check = Draft202012Validator(schema)

    def holds(text: str) -> bool:
        try:
            return bool(check.is_valid(json.loads(text)))
        except json.JSONDecodeError:
            return False

    return sum(holds(answer.text) for answer in answers)


def counts(answers: Sequence[Answer], schema: dict[str, Any]) -> str:
    """Mean tokens and the number of valid answers, for the note."""
    return f"{statistics.mean(a.tokens for a in answers):.0f} tokens, {valid(answers, schema)}/{len(answers)} valid"


def row(setting: Setting) -> list[Claim]:
    """Every document once on each side, in turn; both keep the start that the prompts share in a cache."""
    schema, chats = read_documents()
    mine: list[Answer] = []
    theirs: list[Answer] = []
    path, disturbed = models.small(), []
    with (
        Engine.open(path, threads=setting.threads, context=CONTEXT) as engine,
        peer.server(path, threads=setting.threads, context=CONTEXT, options=PEER_OPTIONS) as server,
    ):
        prompts = [engine.codec.prompt(chat, "no_think") for chat in chats]
        for turn, (chat, prompt) in enumerate(zip(chats, prompts, strict=True)):
            sides = [
                lambda chat=chat: mine.append(ask_ours(engine, chat, schema)),
                lambda prompt=prompt: theirs.append(ask_peer(server, prompt, schema)),
            ]
            for side in sides if turn % 2 else reversed(sides):
                disturbed.append(watched(lambda: side() or 0.0, [server.pid]).disturbed)  # noqa: B023
    mine, theirs = mine[1:], theirs[1:]  # the first filled the caches
    seconds = [statistics.mean(a.seconds for a in answers) for answers in (mine, theirs)]
    note = f"ours {counts(mine, schema)}; peer {counts(theirs, schema)}; others took {statistics.median(disturbed):.0%}"
    return [Claim("extraction, seconds an answer", seconds[0], seconds[1], TARGET, "s", "lower", note)]


def _numbered(chats: list[Messages], turn: int) -> list[Messages]:
    """The chats with a number in front of each document, which keeps all but their shared start out of every cache."""
    return [[*chat[:-1], {"role": "user", "content": f"({turn})\n{chat[-1]['content']}"}] for chat in chats]


def together(setting: Setting) -> list[Claim]:
    """All documents at once, each side with as many in work as is fastest for it, in turn."""
    schema, chats = read_documents()
    chats = chats[:SLOTS] if setting.quick else chats
    path, mine, theirs = models.small(), list[Answer](), list[Answer]()
    our_turns, peer_turns = itertools.count(), itertools.count()
    with (
        Engine.open(path, threads=setting.threads, context=CONTEXT) as engine,
        peer.server(path, threads=setting.threads, context=CONTEXT // 2 * SLOTS, options=TOGETHER_OPTIONS) as server,
        ThreadPoolExecutor(SLOTS) as clients,
    ):

        def our_seconds() -> float:
            turn = _numbered(chats, next(our_turns))
            start = time.perf_counter()
            answers = engine.batch(turn, schema=schema, max_tokens=MAX_TOKENS)
            seconds = (time.perf_counter() - start) / len(chats)
            mine[:] = [Answer(answer.text, len(answer.tokens), seconds) for answer in answers]
            return seconds

        def peer_seconds() -> float:
            prompts = [engine.codec.prompt(chat, "no_think") for chat in _numbered(chats, next(peer_turns))]
            start = time.perf_counter()
            theirs[:] = clients.map(lambda prompt: ask_peer(server, prompt, schema), prompts)
            return (time.perf_counter() - start) / len(chats)

        our_seconds()
        peer_seconds()
        pair = in_turn(our_seconds, peer_seconds, setting.turns, [server.pid])
    note = f"ours {counts(mine, schema)}; peer {counts(theirs, schema)}; {pair.note}"
    return [Claim("extraction, seconds a document", pair.ours, pair.peer, TARGET, "s", "lower", note)]
