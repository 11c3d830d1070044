"""All labels as one tree of tokens, and the probability of each from the rows where the tree branches.

Input: the tokens of every label, those that may end an answer, and logits. Output: which branches to read, then the
log-probability of every label. It is that of sampling with every step masked to the labels' own tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.work import Branch
from smolforge.errors import ConfigError

Row = NDArray[np.float32]
Scores = NDArray[np.float64]
MAX_TOKENS = 256  # of one label


@dataclass(frozen=True, eq=False)
class Fork:
    """A place where labels part. ``path``: the tokens up to it, behind the tree's start.

    ``labels`` int (k,): those that reach it; ``ways`` int (k,): which way each goes; ``tokens``: the token of each way.
    ``ends``: the last way, which has no token, is the end of the answer: one label is the beginning of the others.
    """

    path: tuple[int, ...]
    labels: NDArray[np.intp]
    ways: NDArray[np.intp]
    tokens: NDArray[np.intp]
    ends: bool


class LabelTree:
    """The labels of one task, as rows of tokens; ``stop``: the tokens that end an answer.

    ``start``: the tokens all labels begin with; they belong to the prompt, so that the row after it is the first fork.
    ``longest``: tokens of the longest branch.
    """

    def __init__(self, labels: Sequence[Sequence[int]], stop: Sequence[int]) -> None:
        """Build the tree. ConfigError for fewer than two labels, two of the same tokens, and very long ones."""
        rows = [tuple(label) for label in labels]
        if len(rows) < 2 or not all(rows) or len(set(rows)) < len(rows):
            raise ConfigError("labels: expected two or more, none empty, each only once")
        if max(map(len, rows)) > MAX_TOKENS:
            raise ConfigError(f"labels: one takes {max(map(len, rows))} tokens; expected at most {MAX_TOKENS}")
        self._size, self._stop = len(rows), np.asarray(sorted(stop), np.intp)
        shared = 0
        while len({row[shared : shared + 1] for row in rows}) == 1:
            shared += 1
        self.start = rows[0][:shared]
        self.root, *self.forks = _forks([row[shared:] for row in rows], range(len(rows)), 0)
        self.longest = max((len(fork.path) for fork in self.forks), default=0)
        counts = np.bincount(self.root.ways)
        self._beside = np.zeros(self._size)  # logarithm of how many labels go a label's way at the first fork
        self._beside[self.root.labels] = np.log(counts[self.root.ways])

    def __len__(self) -> int:
        return self._size

    def begin(self, row: Row, least: float) -> tuple[Scores, list[Fork]]:
        """Return log-probabilities float64 (labels,) as the logits at the first fork give them, and further forks.

        Left out are forks behind a way of probability below ``least``: its labels get even parts of it, so each is off
        by less than ``least``. With ``least`` 0 nothing is left out.
        """
        scores = np.zeros(self._size)
        self.descend(self.root, row, scores)
        unlikely = scores < (math.log(least) if least > 0 else -math.inf)
        forks = [fork for fork in self.forks if not unlikely[fork.labels[0]]]
        scores[unlikely] -= self._beside[unlikely]
        return scores, forks

    def descend(self, fork: Fork, row: Row, scores: Scores) -> None:
        """Add what the logits (vocab_size,) at ``fork`` say to the ``scores`` of the labels behind it."""
        ways = row[fork.tokens].astype(np.float64)
        if fork.ends:
            ways = np.append(ways, np.logaddexp.reduce(row[self._stop].astype(np.float64)))
        ways -= np.logaddexp.reduce(ways)
        scores[fork.labels] += ways[fork.ways]


def branches_of(forks: Sequence[Fork]) -> list[Branch]:
    """Return the fewest branches that lead to all ``forks`` (in a tree's order); their rows come in that order."""
    branches: list[Branch] = []
    above: list[int] = []  # lengths of paths that the next fork's path begins with
    for i, fork in enumerate(forks):
        above.append(len(fork.path) - 1)
        if i + 1 == len(forks) or forks[i + 1].path[: len(fork.path)] != fork.path:
            branches.append(Branch(fork.path, above))
            above = []
    return branches


def _forks(rows: Sequence[tuple[int, ...]], labels: Sequence[int], depth: int) -> Iterator[Fork]:
    """Yield the forks of ``labels``, which agree up to ``depth``: each before those behind it."""
    ways: dict[int, list[int]] = {}
    ended = [label for label in labels if len(rows[label]) == depth]
    for label in labels:
        if len(rows[label]) > depth:
            ways.setdefault(rows[label][depth], []).append(label)
    groups = [*ways.values(), *([ended] if ended else [])]
    if len(groups) > 1:
        order = np.asarray([label for group in groups for label in group], np.intp)
        numbers = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        yield Fork(rows[labels[0]][:depth], order, numbers, np.asarray(list(ways), np.intp), bool(ended))
    for group in ways.values():
        if len(group) > 1:
            yield from _forks(rows, group, depth + 1)
