"""The log-probabilities of a prompt's own tokens, with the likeliest ones beside each.

Input: a prompt in token ids. Output: a ``TokenLogprob`` for each of its tokens but the first, which nothing precedes.
"""

from __future__ import annotations

from collections.abc import Sequence

from smolforge.engine.sampler import logprobs
from smolforge.engine.work import Rows, Work
from smolforge.generator import Event, TokenLogprob


class PromptLogprobs(Work[list[TokenLogprob]]):
    """``count``: how many likeliest tokens to name. What is computed stays in the prefix store, for an answer to it."""

    def __init__(self, prompt: Sequence[int], count: int) -> None:
        known = prompt[:-1] if len(prompt) > 1 else prompt
        super().__init__(known, len(known), 0)
        self._wanted, self._count = list(prompt[1:]), count
        self._found: list[TokenLogprob] = []
        self.done = not self._wanted

    def take(self, rows: Rows, draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        """Score one token a row."""
        for row in rows:
            self._found.append(logprobs(row, self._wanted[len(self._found)], self._count))
        self.looks_from += len(rows)
        self.done = len(self._found) == len(self._wanted)
        return (), []

    def result(self) -> list[TokenLogprob]:
        """Return what was found, in the prompt's order."""
        return self._found
