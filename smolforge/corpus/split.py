"""Held-out split and byte budgets: decided by hashes of (seed, id), never by order.

Input: languages, sizes and draws of the documents that survived, as arrays. Output: which are held out, and which are
over their language's budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig
from smolforge.store import digest_bytes

HELD_OUT_STEP, BUDGET_STEP = "held_out", "budget"
_LARGEST_SHARE = 0.2  # of a language's bytes that the minimum, or one group, may hold out
_CHUNK = 1 << 16  # documents looked at together

Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Survivors:
    """Documents to divide, n of them. ``languages`` int16 (n,) number ``codes``; ``sizes`` int64 (n,) are bytes."""

    codes: Sequence[str]
    languages: NDArray[np.int16]
    sizes: I64

    def totals(self) -> F64:
        """Return the bytes of each language."""
        return np.bincount(self.languages, self.sizes, len(self.codes)).astype(np.float64)


@dataclass(frozen=True)
class Related:
    """Survivors that belong to a group with others: ``members`` int64 (m,) are their numbers, ``groups`` (m,) tell
    groups apart, and ``draws`` (m,) are the draws of the groups."""

    members: I64
    groups: NDArray[np.uint64]
    draws: F64


def draw(seed: int, item: str, purpose: str) -> float:
    """Return a number in [0, 1) that depends on (seed, item, purpose) only."""
    return int(digest_bytes(f"{seed}\0{purpose}\0{item}".encode())[:13], 16) / 16**13


def choose_held_out(documents: Survivors, draws: F64, related: Related, config: CorpusConfig) -> Bools:
    """Return which documents to hold out: whole groups in the order of their draws, until each language has its
    fraction of bytes, or the minimum (at most a fifth of the language) where that is more. ``draws`` is altered."""
    chosen = np.zeros(len(documents.sizes), bool)
    if config.held_out == 0:
        return chosen
    total = documents.totals()
    wanted = np.maximum(config.held_out * total, np.minimum(config.held_out_min_bytes, _LARGEST_SHARE * total))
    held = np.zeros(len(total))
    groups = _heads(draws, related)
    for number in _wanting(documents, draws, groups, held, wanted):
        members = groups.get(number, np.array([number]))
        sizes = np.bincount(documents.languages[members], documents.sizes[members], len(total))
        inside = sizes > 0
        if (sizes <= _LARGEST_SHARE * total).all() and (held[inside] < wanted[inside]).any():
            chosen[members] = True
            held += sizes
    return chosen


def _heads(draws: F64, related: Related) -> dict[int, I64]:
    """Return the members of each group under its first one's number, which gets the draw; the others' are infinite."""
    order = np.argsort(related.groups, kind="stable")
    _, starts = np.unique(related.groups[order], return_index=True)
    groups = {int(members[0]): members for members in np.split(related.members[order], starts[1:]) if len(members)}
    draws[related.members] = np.inf
    heads = order[starts]
    draws[related.members[heads]] = related.draws[heads]
    return groups


def _wanting(documents: Survivors, draws: F64, groups: dict[int, I64], held: F64, wanted: F64) -> Iterator[int]:
    """Yield documents and heads of groups by their draws, passing over languages that have enough by then."""
    order = np.argsort(draws, kind="stable")[: np.count_nonzero(np.isfinite(draws))]
    in_group = np.zeros(len(draws), bool)
    in_group[list(groups)] = True
    for first in range(0, len(order), _CHUNK):
        chunk = order[first : first + _CHUNK]
        open_languages = held < wanted
        yield from chunk[open_languages[documents.languages[chunk]] | in_group[chunk]].tolist()


def over_budget(documents: Survivors, draws: F64, candidates: Bools, config: CorpusConfig) -> Bools:
    """Return which of the candidates do not fit into their language's byte budget, filled in the order of draws."""
    over = np.zeros(len(documents.sizes), bool)
    for number, code in enumerate(documents.codes):
        budget = config.byte_budget(code)
        if budget is not None:
            members = np.flatnonzero(candidates & (documents.languages == number))
            members = members[np.argsort(draws[members], kind="stable")]
            over[members] = ~_fits(documents.sizes[members], budget)
    return over


def _fits(sizes: I64, budget: int) -> Bools:
    """Return which of some sizes fit, taken one after another; one that does not fit is passed over."""
    fits = np.zeros(len(sizes), bool)
    places = np.arange(len(sizes))
    while len(places := places[sizes[places] <= budget]):
        filled = np.cumsum(sizes[places])
        count = int(np.searchsorted(filled, budget, side="right"))
        fits[places[:count]] = True
        budget -= int(filled[count - 1])
        places = places[count + 1 :]
    return fits
