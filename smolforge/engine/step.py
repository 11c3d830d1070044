"""One step of the model over many sequences: which get how many rows, and the arrays that say so.

Input: running sequences and a budget. Output: their shares, the native call's arguments, and how fast rows are read.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any, NamedTuple, Protocol

import numpy as np

from smolforge.engine.admission import Limits
from smolforge.engine.sequence import Sequence
from smolforge.engine.work import Branch, Rows

FEW = 16  # missing tokens up to which a sequence is always in the step: an answer going on, or the end of a prompt


class ForwardModel(Protocol):
    """What the native model gives; see ``_native.Model.forward``."""

    def forward(
        self, kv: Any, tokens: Any, starts: Any, counts: Any, pages: Any, outputs: Any, *, hidden: bool = False
    ) -> Rows:
        """Run one forward pass."""


class Share(NamedTuple):
    """A sequence's part of a step: ``fed`` known tokens, then ``draft``; the last ``looked`` rows are wanted.

    Or, where nothing is left to feed, ``branches`` of it; the rows they want are ``looked`` together.
    """

    sequence: Sequence
    fed: int
    draft: Many[int]
    looked: int
    branches: Many[Branch] = ()

    @property
    def rows(self) -> int:
        """Rows the model computes."""
        return self.fed + len(self.draft) + sum(len(branch.tokens) for branch in self.branches)


def branch_share(sequence: Sequence, count: int) -> Share:
    """Return the share of a sequence's first ``count`` branches."""
    branches = sequence.work.branches[:count]
    return Share(sequence, 0, (), sum(len(branch.wanted) for branch in branches), branches)


class StepArrays:
    """The arguments of the native call, filled anew each step; they grow where a step needs more."""

    def __init__(self, sequences: int, rows: int, pages: int) -> None:
        self._allocate(sequences, rows, pages)

    def _allocate(self, sequences: int, rows: int, pages: int) -> None:
        self.tokens = np.zeros(rows, np.int32)
        self.starts = np.zeros(sequences, np.int32)
        self.counts = np.zeros(sequences, np.int32)
        self.outputs = np.zeros(rows, np.int32)
        self.pages = np.zeros((sequences, pages), np.int32)

    def run(self, model: ForwardModel, memory: Any, shares: Many[Share], *, hidden: bool) -> Rows:
        """Fill the arrays, run the model, and return the wanted rows of all shares, one after the other."""
        n, rows = sum(len(share.branches) or 1 for share in shares), sum(share.rows for share in shares)
        if n > len(self.starts) or rows > len(self.tokens):
            self._allocate(max(n, len(self.starts)), max(rows, len(self.tokens)), self.pages.shape[1])
        i = row = looked = 0
        for share in shares:
            sequence, fed, draft, wanted, branches = share
            if branches:
                i, row, looked = self._fill_branches(i, row, looked, share)
                continue
            if draft:
                sequence.buffer[sequence.known : sequence.known + len(draft)] = draft
            end = row + fed + len(draft)
            self.tokens[row:end] = sequence.buffer[sequence.cached : sequence.cached + end - row]
            self.starts[i], self.counts[i] = sequence.cached, end - row
            self.pages[i, : len(sequence.pages)] = sequence.pages
            self.outputs[looked : looked + wanted] = range(end - wanted, end)
            i, row, looked = i + 1, end, looked + wanted
        return model.forward(
            memory, self.tokens[:row], self.starts[:n], self.counts[:n], self.pages[:n], self.outputs[:looked],
            hidden=hidden,
        )  # fmt: skip

    def _fill_branches(self, i: int, row: int, looked: int, share: Share) -> tuple[int, int, int]:
        """Put each branch down as a sequence of its own, from ``i``, ``row`` and ``looked`` on; return their ends."""
        for index, (tokens, wanted) in enumerate(share.branches):
            end, pages = row + len(tokens), share.sequence.pages_of_branch(index)
            self.tokens[row:end] = tokens
            self.starts[i], self.counts[i] = share.sequence.known, len(tokens)
            self.pages[i, : len(pages)] = pages
            self.outputs[looked : looked + len(wanted)] = [row + at for at in wanted]
            i, row, looked = i + 1, end, looked + len(wanted)
        return i, row, looked


class Pace:
    """Learns how many rows a second the model reads, and says how many fit into a given time."""

    def __init__(self) -> None:
        self._rows_per_second = 0.0

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a step; small ones say nothing about reading."""
        if rows >= FEW and seconds > 0:
            rate = rows / seconds
            self._rows_per_second += (0.3 if self._rows_per_second else 1.0) * (rate - self._rows_per_second)

    def rows(self, seconds: float, most: int) -> int:
        """Return how many rows to read in about ``seconds``, between FEW and ``most``."""
        if not self._rows_per_second:
            return min(most, 8 * FEW)
        return max(FEW, min(most, int(seconds * self._rows_per_second)))


def looked_at(sequence: Sequence, count: int) -> int:
    """Return how many of the next ``count`` known tokens' rows are wanted."""
    return max(0, sequence.cached + count - max(sequence.work.looks_from, sequence.cached))


def read_branches(waiting: list[Sequence], budget: int, limits: Limits, *, alone: bool) -> list[Share]:
    """Give ``budget`` rows to sequences with branches to read, by priority, then by age; at least one branch.

    Where nobody else writes an answer (``alone``), those of the first one go together, up to a chunk.
    """
    shares: list[Share] = []
    rows = looks = 0
    for sequence in sorted(waiting, key=lambda s: (-s.work.priority, s.order)):
        most = limits.chunk if alone and not shares else budget
        count = 0
        for branch in sequence.work.branches:
            rows, looks = rows + len(branch.tokens), looks + len(branch.wanted)
            if (shares or count) and (rows > most or looks > 2 * limits.looked_at):
                break
            count += 1
        if count:
            shares.append(branch_share(sequence, count))
        if count < len(sequence.work.branches):
            break
    return shares


def read_prompts(readers: list[Sequence], budget: int, limits: Limits) -> list[tuple[Sequence, int]]:
    """Share ``budget`` rows among sequences with much to read: by priority, then the shortest first.

    A quarter, of the wanted rows too, goes to the oldest, so that it always gets on. What another computes in this step
    is left to it.
    """
    order = sorted(readers, key=lambda s: (-s.work.priority, s.missing, s.order))
    oldest = min(readers, key=lambda s: s.order)
    kept, kept_looks = (budget // 4, limits.looked_at // 4) if order[0] is not oldest else (0, 0)
    claimed: set[tuple[int, bytes]] = set()
    shares: list[tuple[Sequence, int]] = []
    room, looks = budget - kept, limits.looked_at - kept_looks
    for sequence in order:
        block = sequence.block()
        if block is not None and block in claimed and sequence.between_pages:
            continue
        more, more_looks = (kept, kept_looks) if sequence is oldest else (0, 0)
        count = _cut(sequence, min(sequence.missing, room + more), looks + more_looks)
        if count > 0:
            shares.append((sequence, count))
            looks -= min(looks, looked_at(sequence, count))
            room -= min(room, count)
            claimed.add(block) if block is not None else None
    return shares


def _cut(sequence: Sequence, count: int, looks: int) -> int:
    """Shorten a share to end at a page's end (so that the page can be shared), and to at most ``looks`` wanted rows."""
    count -= max(0, looked_at(sequence, count) - looks)
    size = sequence.page_tokens
    if count < sequence.missing and (end := (sequence.cached + count) // size * size) > sequence.cached:
        count = end - sequence.cached
    return count
