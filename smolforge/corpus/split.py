"""Held-out split and byte budgets: decided by hashes of (seed, id), never by order.

Input: languages, sizes and draws of the documents that survived, in pieces that follow each other by their draws.
Output: which are held out, and which are over their language's budget. What is remembered between pieces is a number or
two a language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig
from smolforge.store import digest_bytes

HELD_OUT_STEP, BUDGET_STEP = "held_out", "budget"
_LARGEST_SHARE = 0.2  # of a language's bytes that the minimum, or one group, may hold out
_CHUNK = 1 << 16  # groups looked at together

Bools = NDArray[np.bool_]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Drawn:
    """Documents to divide, n of them, in any order. ``places`` uint64 (n,) tell them apart; ``languages`` int64 (n,)
    are numbers; ``sizes`` int64 (n,) are bytes; ``draws`` float64 (n,) are those of the groups, where they have one;
    ``groups`` uint64 (n,): the same for related documents, the own place for one without relatives."""

    places: U64
    languages: I64
    sizes: I64
    draws: F64
    groups: U64


def draw(seed: int, item: str, purpose: str) -> float:
    """Return a number in [0, 1) that depends on (seed, item, purpose) only."""
    return int(digest_bytes(f"{seed}\0{purpose}\0{item}".encode())[:13], 16) / 16**13


class HeldOut:
    """Chooses documents to hold out: whole groups in the order of their draws, until each language has its fraction of
    bytes, or the minimum (at most a fifth of the language) where that is more.

    ``totals`` float64 (languages,): bytes of each."""

    def __init__(self, totals: F64, config: CorpusConfig) -> None:
        least = np.minimum(config.held_out_min_bytes, _LARGEST_SHARE * totals)
        self._wanted = np.maximum(config.held_out * totals, least) * (config.held_out > 0)
        self._largest = _LARGEST_SHARE * totals
        self._held = np.zeros(len(totals))

    @property
    def done(self) -> bool:
        """Whether every language has enough."""
        return bool((self._held >= self._wanted).all())

    def take(self, documents: Drawn) -> Bools:
        """Return which of the next documents to hold out; no draw is smaller than one before, groups are whole."""
        chosen = np.zeros(len(documents.sizes), bool)
        for members in self._wanting(documents):
            sizes = np.bincount(documents.languages[members], documents.sizes[members], len(self._held))
            inside = sizes > 0
            if (sizes <= self._largest).all() and (self._held[inside] < self._wanted[inside]).any():
                chosen[members] = True
                self._held += sizes
        return chosen

    def _wanting(self, documents: Drawn) -> Iterator[I64]:
        """Yield the members of groups by their draws, passing over languages that have enough by then."""
        order = np.lexsort((documents.places, documents.groups, documents.draws))
        groups = documents.groups[order]
        starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1])) if len(order) else order
        ends = np.append(starts[1:], len(order))
        for first in range(0, len(starts), _CHUNK):
            begin, end = starts[first : first + _CHUNK], ends[first : first + _CHUNK]
            wants = (self._held < self._wanted)[documents.languages[order[begin]]] | (end - begin > 1)
            for low, high in zip(begin[wants].tolist(), end[wants].tolist(), strict=True):
                yield order[low:high]


class Budgets:
    """Fills languages' byte budgets in the order of draws; ``limits`` int64 (languages,)."""

    def __init__(self, limits: I64) -> None:
        self._left = limits.copy()

    def take(self, documents: Drawn) -> Bools:
        """Return which of the next documents do not fit; no draw is smaller than one before."""
        over = np.zeros(len(documents.sizes), bool)
        for number in np.unique(documents.languages).tolist():
            members = np.flatnonzero(documents.languages == number)
            members = members[np.lexsort((documents.places[members], documents.draws[members]))]
            fits = _fits(documents.sizes[members], int(self._left[number]))
            self._left[number] -= documents.sizes[members][fits].sum()
            over[members] = ~fits
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
