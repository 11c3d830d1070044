"""A model small enough to see through: its logits depend on every token that stands in the pages up to a position.

A wrong page, a missing copy or a stale token changes its answers, which is what the tests of paging look for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.work import Work
from smolforge.generator import Event, TextDelta

VOCABULARY = 50
PAGE = 8
PATIENCE = 600.0  # seconds to wait for a thread on a busy machine; waits end with their event


class SmallPages:
    """Pages that hold the tokens themselves, −1 where nothing was written or the memory was given back."""

    page_tokens = PAGE
    page_bytes = PAGE * 4

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.data = np.full((pages, PAGE), -1, np.int32)
        self.copies = 0

    def copy(self, source: int, target: int) -> None:
        self.data[target] = self.data[source]
        self.copies += 1

    def read(self, page: int) -> bytes:
        return self.data[page].tobytes()

    def write(self, page: int, data: bytes) -> None:
        self.data[page] = np.frombuffer(data, np.int32)

    def release(self, page: int) -> None:
        self.data[page] = -1


class SmallModel:
    """Counts the rows it computes; ``poison`` is a token whose presence in a call makes the call fail."""

    def __init__(self) -> None:
        self.rows, self.calls = 0, 0
        self.poison: int | None = None
        self.before_call: Any = None

    def forward(
        self, kv: SmallPages, tokens: Any, starts: Any, counts: Any, pages: Any, outputs: Any, *, hidden: bool = False
    ) -> NDArray[np.float32]:
        if self.before_call is not None:
            self.before_call()
        if self.poison is not None and self.poison in tokens:
            raise RuntimeError("poisoned")
        self.calls += 1
        self.rows += len(tokens)
        rows, first = [], 0
        for start, count, mine in zip(starts, counts, pages, strict=True):
            for position in range(start, start + count):
                kv.data[mine[position // PAGE], position % PAGE] = tokens[first + position - start]
            for position in range(start, start + count):
                seen = np.concatenate([kv.data[page] for page in mine[: position // PAGE + 1]])[: position + 1]
                rows.append(logits_after(seen))
            first += count
        return np.stack(rows)[outputs] if len(outputs) else np.empty((0, VOCABULARY), np.float32)


def logits_after(tokens: Sequence[int] | NDArray[np.int32]) -> NDArray[np.float32]:
    """Return float32 (VOCABULARY,) for a whole prefix."""
    seed = 17
    for token in tokens:
        seed = (seed * 1_000_003 + int(token) + 7) % (1 << 61)
    return np.random.default_rng(seed).standard_normal(VOCABULARY, np.float32)


def greedy(prompt: Sequence[int], length: int) -> list[int]:
    """Return what the model continues a prompt with, computed without pages."""
    known = list(prompt)
    for _ in range(length):
        known.append(int(logits_after(known).argmax()))
    return known[len(prompt) :]


class Writing(Work[list[int]]):
    """Writes ``length`` greedy tokens; with ``guess``, drafts from it (right or wrong). ``fail_at``: raises there."""

    def __init__(
        self, prompt: Sequence[int], length: int, *, guess: Sequence[int] = (), fail_at: int | None = None,
        priority: int = 0, timeout: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(prompt, len(prompt) + length, len(prompt) - 1)
        self.tokens: list[int] = []
        self.priority, self.timeout = priority, timeout
        self.cached = 0
        self.stopped: str | None = None
        self._length, self._guess, self._fail_at = length, list(guess), fail_at

    def start(self, cached: int) -> None:
        self.cached = cached

    def draft(self, room: int, beside: int) -> Sequence[int]:
        at = len(self.tokens)
        return self._guess[at : at + min(room, 5, self._length - at - 1)]

    def take(self, rows: NDArray[np.float32], draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        assert len(rows) == 1 + len(draft)
        new: list[int] = []
        for i, row in enumerate(rows):
            new.append(int(row.argmax()))
            if i < len(draft) and draft[i] != new[-1]:
                break
        self.tokens += new
        if self._fail_at is not None and len(self.tokens) >= self._fail_at:
            raise ValueError("broken request")
        self.looks_from += len(new)
        self.done = len(self.tokens) >= self._length
        return new, [TextDelta(" ".join(map(str, new)))]

    def stop(self, reason: str) -> list[Event]:  # type: ignore[override]
        self.stopped, self.done = reason, True
        return []

    def result(self) -> list[int]:
        return self.tokens
