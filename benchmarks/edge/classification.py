"""Classification into 77 labels: the same documents and prompts through llama-server and through our classifier.

In: ``intents.json``. Out: seconds a document on both sides, each with as many at once as is fastest for it. The server
writes one label, greedily, under a grammar of the labels; ours gives the probabilities of all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter

from smolforge.engine.engine import Engine
from smolforge.tasks.classify import Classifier

from . import models, peer
from .calm import in_turn
from .claims import Claim
from .setting import Setting

TARGET = 5.0
CONTEXT, MAX_TOKENS = 1024, 32
SLOTS = 8
PEER_OPTIONS: tuple[str, ...] = ("-np", str(SLOTS), "--cache-ram", "0")
SLICE, QUICK_SLICE = 30, 16


def read_intents() -> tuple[list[str], list[str], list[str]]:
    """The labels, the documents, and the label of each document."""
    data = json.loads(Path(__file__).with_name("intents.json").read_text(encoding="utf-8"))
    words = {label: label.replace("_", " ") for label in data["labels"]}
    rows = data["documents"]
    return list(words.values()), [row["text"] for row in rows], [words[row["label"]] for row in rows]


class Peer:
    """llama-server with ``SLOTS`` slots, each client in a thread of its own."""

    def __init__(self, server: peer.Server, labels: Sequence[str]) -> None:
        self._server = server
        self._grammar = "root ::= " + " | ".join(json.dumps(label) for label in labels)
        self._clients = ThreadPoolExecutor(SLOTS)

    def ask(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        """One greedy answer for each prompt."""
        return list(self._clients.map(self._one, prompts))

    def _one(self, prompt: Sequence[int]) -> str:
        form = {"grammar": self._grammar, "n_predict": MAX_TOKENS, "temperature": 0, "cache_prompt": True}
        return str(self._server.ask("/completion", {"prompt": prompt, **form})["content"])


def row(setting: Setting) -> list[Claim]:
    """Slices of the documents in turn; both sides have read the labels before."""
    labels, texts, truth = read_intents()
    path, size = models.small(), QUICK_SLICE if setting.quick else SLICE
    mine: dict[str, str | None] = {}
    theirs: dict[str, str] = {}
    with (
        Engine.open(path, threads=setting.threads, context=CONTEXT) as engine,
        peer.server(path, threads=setting.threads, context=CONTEXT * SLOTS, options=PEER_OPTIONS) as server,
    ):
        classifier, other = Classifier(engine, labels), Peer(server, labels)
        prompts = dict(zip(texts, map(classifier.prompt, texts), strict=True))

        def our_seconds(part: Sequence[str]) -> float:
            start = perf_counter()
            found = list(classifier.each(part))
            seconds = perf_counter() - start
            mine.update(zip(part, (result.label for result in found), strict=True))
            return seconds / len(part)

        def peer_seconds(part: Sequence[str]) -> float:
            start = perf_counter()
            found = other.ask([prompts[text] for text in part])
            seconds = perf_counter() - start
            theirs.update(zip(part, found, strict=True))
            return seconds / len(part)

        ours_next, peer_next = _parts(texts, size), _parts(texts, size)
        our_seconds(next(ours_next))
        peer_seconds(next(peer_next))
        pair = in_turn(
            lambda: our_seconds(next(ours_next)), lambda: peer_seconds(next(peer_next)), setting.turns, [server.pid]
        )
    right = [
        sum(found.get(text) == label for text, label in zip(texts, truth, strict=True)) for found in (mine, theirs)
    ]
    same = sum(mine[text] == label for text, label in theirs.items() if text in mine)
    note = f"same label {same}/{len(mine)}; right: ours {right[0]}, peer {right[1]}; {pair.note}"
    return [Claim("77 labels, seconds a document", pair.ours, pair.peer, TARGET, "s", "lower", note)]


def _parts(texts: Sequence[str], size: int) -> Iterator[list[str]]:
    """Slices of the documents, round and round."""
    endless = cycle(texts)
    while True:
        yield list(islice(endless, size))
