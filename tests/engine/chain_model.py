"""A small deterministic model for tests of decoding: logits of the last two tokens, and a driver like the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.decoding import Decoding
from smolforge.engine.text_stream import TokenTable
from smolforge.generator import Event
from tests.tasks.small_chat import small_tokenizer

TABLE = TokenTable(small_tokenizer())
Drafts = Callable[[Decoding], Sequence[int]]


def token(text: str) -> int:
    """Return the id of one token by its text."""
    found = small_tokenizer().token_to_id(text)
    assert found is not None
    return int(found)


def ids(text: str) -> list[int]:
    """Return the ordinary tokens of a text."""
    return list(small_tokenizer().encode(text, add_special_tokens=False).ids)


@cache
def _weights(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    shape = (TABLE.size, TABLE.size)
    return random.normal(size=shape).astype(np.float32) * 3, random.normal(size=shape).astype(np.float32)


def logits(tokens: Sequence[int], seed: int = 0) -> NDArray[np.float32]:
    """Return the scores of the token that follows ``tokens``."""
    last, before = _weights(seed)
    return last[tokens[-1]] + before[tokens[-2] if len(tokens) > 1 else 0]


def wishing(wanted: Sequence[int], prompt: int) -> Callable[[Sequence[int]], NDArray[np.float32]]:
    """Return a model that would write ``wanted`` behind a prompt of ``prompt`` tokens: likely, but never forced."""

    def scores(tokens: Sequence[int]) -> NDArray[np.float32]:
        row, at = logits(tokens).copy(), len(tokens) - prompt
        if at < len(wanted):
            row[wanted[at]] = 100.0
        return row

    return scores


def drive(
    decoding: Decoding,
    model: Callable[[Sequence[int]], NDArray[np.float32]] = logits,
    drafts: Drafts | None = None,
) -> tuple[list[Event], int]:
    """Run to the end as the scheduler does; return all events and the number of passes."""
    events: list[Event] = []
    passes = 0
    while decoding.finish is None:
        known = [*decoding.request.prompt, *decoding.tokens]
        draft = list(drafts(decoding)) if drafts is not None else decoding.draft(8)
        rows = np.stack([model([*known, *draft[:n]]) for n in range(len(draft) + 1)])
        events += decoding.take(rows, draft)
        passes += 1
    return events, passes


def nothing(_: Decoding) -> list[int]:
    """Draft nothing."""
    return []
