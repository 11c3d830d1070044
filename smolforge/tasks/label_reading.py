"""Labels read by the engine: one prompt, then all places where labels part, or one question for each label.

Input: the prompt's tokens and a ``LabelTree``, or ``Questions``. Output: float64 (labels,), as work for
``Engine.run_all``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.branches import Branching
from smolforge.engine.work import Branch, Rows
from smolforge.tasks.label_tree import Fork, LabelTree, Scores, branches_of


class Choice(Branching[Scores]):
    """One of the labels: the log-probability (nats) of each, see ``LabelTree.begin`` for ``least``."""

    def __init__(self, prompt: Sequence[int], tree: LabelTree, least: float) -> None:
        super().__init__([*prompt, *tree.start], tree.longest)
        self._tree, self._least = tree, least
        self._scores: Scores = np.empty(0)
        self._forks: list[Fork] = []

    def begin(self, row: NDArray[np.float32]) -> list[Branch]:
        """Decide the first fork."""
        self._scores, self._forks = self._tree.begin(row, self._least)
        return branches_of(self._forks)

    def look(self, branches: Sequence[Branch], rows: Rows) -> None:
        """Decide the forks these branches lead to."""
        for fork, row in zip(self._forks, rows, strict=False):
            self._tree.descend(fork, row, self._scores)
        del self._forks[: len(rows)]

    def result(self) -> Scores:
        """Return the log-probabilities."""
        return self._scores


@dataclass(frozen=True)
class Questions:
    """A question for each label, behind one prompt; its answer is the token ``yes`` or ``no``, both int (labels,)."""

    tokens: Sequence[Sequence[int]]
    yes: NDArray[np.intp]
    no: NDArray[np.intp]


class Judgement(Branching[Scores]):
    """Every label for itself: the probability of yes against no."""

    def __init__(self, prompt: Sequence[int], questions: Questions) -> None:
        super().__init__(prompt, max(map(len, questions.tokens)))
        self._questions = questions
        self._fits: list[float] = []

    def begin(self, row: NDArray[np.float32]) -> list[Branch]:
        """Ask about every label."""
        return [Branch(tokens, (len(tokens) - 1,)) for tokens in self._questions.tokens]

    def look(self, branches: Sequence[Branch], rows: Rows) -> None:
        """Compare yes with no, one row a label."""
        each, labels = np.arange(len(rows)), slice(len(self._fits), len(self._fits) + len(rows))
        yes, no = (rows[each, tokens[labels]] for tokens in (self._questions.yes, self._questions.no))
        margins = no.astype(np.float64) - yes
        self._fits += np.exp(-np.logaddexp(0.0, margins)).tolist()

    def result(self) -> Scores:
        """Return the probabilities."""
        return np.asarray(self._fits)
