"""What the scheduler runs: something that knows tokens, looks at rows of the model's output, and may add tokens.

Generation, scoring, embedding, branching and warming the prefix store are all this; they differ in which rows they
look at.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.sampler import no_numbers
from smolforge.errors import SmolforgeError
from smolforge.generator import Event

Result = TypeVar("Result")
Rows = NDArray[np.float32]
NEVER = 1 << 62  # a position that no sequence reaches


class Stopped(SmolforgeError):
    """Work was cancelled or ran out of time, and a part of its result would be of no use."""

    def __init__(self, reason: Literal["cancelled", "timeout"]) -> None:
        super().__init__(f"{'cancelled' if reason == 'cancelled' else 'out of time'} before the result was complete")


class Branch(NamedTuple):
    """Tokens to read behind all known ones, beside other branches; ``wanted``: behind which (indices) a row is."""

    tokens: Sequence[int]
    wanted: Sequence[int]


class Work(ABC, Generic[Result]):
    """One sequence's purpose.

    ``prompt`` int32 (n,): the tokens known from the start. ``most``: positions it may ever take. ``looks_from``: the
    first position whose output row is still wanted. ``hidden``: rows are final hidden states (d_model) rather than
    logits (vocab_size). ``keep``: what it computes goes into the prefix store.
    ``branches``: what it wants to have read behind its last known token, the next one first.
    """

    hidden = False
    keep = True
    priority = 0
    timeout: float | None = None
    done = False
    branches: Sequence[Branch] = ()

    def __init__(self, prompt: Sequence[int], most: int, looks_from: int) -> None:
        self.prompt = np.asarray(prompt, np.int32)
        self.most, self.looks_from = most, looks_from

    def draft(self, room: int, beside: int) -> Sequence[int]:
        """Return at most ``room`` tokens that may come next; ``beside``: rows the step has for other sequences."""
        return ()

    def start(self, cached: int) -> None:
        """Learn how many tokens of the prompt came from the prefix store."""

    @abstractmethod
    def take(self, rows: Rows, draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        """Look at the rows from ``looks_from`` on; return the tokens that follow now, and events."""

    def take_branches(self, count: int, rows: Rows) -> None:
        """Look at the wanted rows of the first ``count`` branches, which have been read, and let go of these."""
        raise NotImplementedError

    def stop(self, reason: Literal["cancelled", "timeout"]) -> list[Event]:
        """End; return the last events. ``Stopped`` where it was not done and what there is would mislead."""
        if not self.done:
            raise Stopped(reason)
        return []

    @abstractmethod
    def result(self) -> Result:
        """Return what was made."""


class Scoring(Work[NDArray[np.float64]]):
    """The log-probability (nats) of each token of a continuation; result float64 (len(continuation),)."""

    keep = False

    def __init__(self, prompt: Sequence[int], continuation: Sequence[int]) -> None:
        known = [*prompt, *continuation]
        super().__init__(known[:-1], len(known) - 1, len(prompt) - 1)
        self._wanted = np.asarray(continuation, np.int64)
        self._scores = np.zeros(len(continuation))
        self._seen = 0
        self.done = not len(continuation)

    def take(self, rows: Rows, draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        """Score one token a row; DataError where scores are not numbers."""
        weights = np.empty(rows.shape[1], np.float32)
        for row in rows:  # one at a time stays in the cache
            best = row.max()
            np.exp(np.subtract(row, best, out=weights), out=weights)
            normalizer = float(best) + float(np.log(weights.sum(dtype=np.float64)))
            if not math.isfinite(normalizer):
                raise no_numbers()
            self._scores[self._seen] = float(row[self._wanted[self._seen]]) - normalizer
            self._seen += 1
        self.looks_from += len(rows)
        self.done = self._seen == len(self._wanted)
        return (), []

    def result(self) -> NDArray[np.float64]:
        """Return the log-probabilities, in the order of the continuation."""
        return self._scores


class Embedding(Work[NDArray[np.float32]]):
    """The mean of the final hidden states over all tokens; result float32 (d_model,), not normalised."""

    hidden = True
    keep = False

    def __init__(self, prompt: Sequence[int]) -> None:
        super().__init__(prompt, len(prompt), 0)
        self._sum: NDArray[np.float64] | float = 0.0

    def take(self, rows: Rows, draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        """Add one token a row."""
        for row in rows:  # one after the other, so that the sum does not depend on how the prompt was cut
            self._sum = self._sum + row.astype(np.float64)
        self.looks_from += len(rows)
        self.done = self.looks_from == len(self.prompt)
        return (), []

    def result(self) -> NDArray[np.float32]:
        """Return the mean; DataError where it is not made of numbers."""
        mean = np.asarray(self._sum / len(self.prompt), np.float32)
        if not np.isfinite(mean).all():
            raise no_numbers()
        return mean


class Warming(Work[int]):
    """Reads a prompt into the prefix store and looks at nothing; result: how many of its tokens were there already."""

    def __init__(self, prompt: Sequence[int]) -> None:
        super().__init__(prompt, len(prompt), NEVER)
        self._cached = 0

    def start(self, cached: int) -> None:
        """Learn how many tokens were there already."""
        self._cached = cached

    def take(self, rows: Rows, draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        """The prompt has been read."""
        self.done = True
        return (), []

    def result(self) -> int:
        """Return how many tokens were there already."""
        return self._cached
