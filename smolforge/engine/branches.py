"""Work that looks ahead: a prompt is read once, then many short continuations of it side by side, in one more pass.

Input: a prompt, and the branches a subclass asks for when it has seen the row after the prompt. Output: the rows after
tokens of the branches. Branches share the prompt's pages, and nothing that is computed is kept.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.work import Branch, Result, Rows, Work
from smolforge.generator import Event


class Branching(Work[Result]):
    """Reads a prompt, then branches of it, each at most ``longest`` tokens.

    Rows are the same, to the bit, as if prompt and branch were read as one text. ``cached_tokens`` of the prompt came
    from the prefix store; ``branch_tokens`` were read in branches.
    """

    keep = False

    def __init__(self, prompt: Sequence[int], longest: int) -> None:
        super().__init__(prompt, len(prompt) + longest, len(prompt) - 1)
        self.branches: Sequence[Branch] = ()
        self.cached_tokens = self.branch_tokens = 0
        self._started = False

    def start(self, cached: int) -> None:
        """Learn how many tokens were cached; a second start, after pages were lost, does not count."""
        if not self._started:
            self.cached_tokens, self._started = cached, True

    def take(self, rows: Rows, draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        """Look at the row after the prompt, which says what to read next; there is none after a second start."""
        if len(rows):
            self.looks_from += 1
            self.branches = self.begin(rows[-1])
        self.done = not self.branches
        return (), []

    def take_branches(self, count: int, rows: Rows) -> None:
        """Look at the wanted rows of the first ``count`` branches."""
        read, self.branches = self.branches[:count], self.branches[count:]
        self.branch_tokens += sum(len(branch.tokens) for branch in read)
        self.look(read, rows)
        self.done = not self.branches

    @abstractmethod
    def begin(self, row: NDArray[np.float32]) -> list[Branch]:
        """Return the branches to read, from the logits (vocab_size,) after the prompt; none ends the work."""

    @abstractmethod
    def look(self, branches: Sequence[Branch], rows: Rows) -> None:
        """Learn the logits after the wanted tokens of ``branches``, one row each, in their order."""
