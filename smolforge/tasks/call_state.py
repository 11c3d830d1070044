"""States of the call automaton over bytes, and the part of it that spells numbers within a range.

Input: literals, slots and ranges from ``call_grammar``. Output: a graph of ``State`` that ``call_constraint`` follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

FRACTION_DIGITS = 1


@dataclass(frozen=True)
class SlotKind:
    """What a copy slot takes: text spans, or numbers within a range."""

    type: str = "string"
    minimum: float | None = None
    maximum: float | None = None


@dataclass(eq=False)
class State:
    """A place in the text. ``slot``: a copied value may begin here, after which ``after_slot``'s edges count."""

    edges: dict[int, State] = field(default_factory=dict)
    slot: SlotKind | None = None
    after_slot: State | None = None
    accepting: bool = False
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)

    def follow(self, literal: bytes) -> State:
        """Return the state after ``literal``, made where it does not exist yet."""
        state = self
        for byte in literal:
            state = state.edges.setdefault(byte, State())
        return state

    def join(self, other: State) -> None:
        """Make whatever may come at ``other`` possible here too."""
        self.edges.update(other.edges)
        self.accepting = self.accepting or other.accepting


# The integers that complete a prefix: (digits still to come, lowest, highest of them, may a fraction follow).
_Rest = tuple[int, int, int, bool]


def add_numbers(start: State, low: float, high: float, fractions: bool, after: State) -> None:
    """Build every JSON integer in [low, high] from ``start``; with ``fractions`` also numbers of one decimal.

    A fraction follows an integer part n where n and n + 1 lie within the range, so no value leaves it.
    """
    built: dict[frozenset[_Rest], State] = {}
    start.join(_digits(_rests(math.ceil(low), math.floor(high), fractions), after, built, first=True))
    if low < 0:
        below = _rests(max(1, math.ceil(-high)), math.floor(-low), fractions)
        start.follow(b"-").join(_digits(below, after, built, first=True))


def _rests(low: int, high: int, fractions: bool) -> frozenset[_Rest]:
    """Return what may follow an empty prefix for the integers max(low, 0) … high, by their number of digits."""
    rests: set[_Rest] = set()
    low = max(low, 0)
    for top, fraction in ((high, False), (high - 1, True)) if fractions else ((high, False),):
        for count in range(1, len(str(max(high, 0))) + 1):
            least, most = max(low, 10 ** (count - 1) if count > 1 else 0), min(top, 10**count - 1)
            if least <= most:
                rests.add((count, least, most, fraction))
    return frozenset(rests)


def _digits(rests: frozenset[_Rest], after: State, built: dict[frozenset[_Rest], State], first: bool = False) -> State:
    """Return the state from which exactly the numbers of ``rests`` can be spelled."""
    if not first and rests in built:
        return built[rests]
    state = State()
    for digit in range(10):
        following = set()
        for count, least, most, fraction in rests:
            place = 10 ** (count - 1) if count else 0
            a, b = max(least, digit * place), min(most, (digit + 1) * place - 1)
            if count and a <= b:
                following.add((count - 1, a - digit * place, b - digit * place, fraction))
        if following:
            state.edges[ord("0") + digit] = _digits(frozenset(following), after, built)
    if any(count == 0 and not fraction for count, _, _, fraction in rests):
        state.join(after)
    if any(count == 0 and fraction for count, _, _, fraction in rests):
        point = state.follow(b".")
        for digit in b"0123456789":
            point.follow(bytes([digit])).join(after)
    if not first:
        built[rests] = state
    return state
