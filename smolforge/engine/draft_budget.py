"""How many drafted tokens pay: the measured cost of a forward pass by rows, and how often guesses were right.

Input: (rows, seconds) of passes, and whether drafts were accepted. Output: how much of a draft to verify. One object
serves one engine; nothing here can change an answer, only how soon it is there.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from enum import Enum


class Source(Enum):
    """Where a drafted token comes from; the value is how often it is right before anything was seen."""

    FORCED = ("forced", 0.95)  # the grammar leaves no other text
    BORDER = ("border", 0.8)  # the last token of forced text, which may yet merge with what follows
    SPAN = ("span", 0.8)  # how the prompt goes on behind the same words, inside a string: its next token
    FIND = ("find", 0.55)  # the same, where the string has but one token yet
    TAIL = ("tail", 0.3)  # the same, where the prompt has only the string's newest tokens
    ON = ("on", 0.9)  # the tokens of the passage behind that one
    CLOSE = ("close", 0.65)  # the end of a string where its passage in the prompt ends
    LONG = ("long", 0.9)  # what followed the last four or more tokens before
    VALUE = ("value", 0.6)  # the same, where it begins a value
    WITHIN = ("within", 0.6)  # the same, where it goes on inside a value
    SHORT = ("short", 0.5)  # what followed the last two or three tokens before

    @property
    def prior(self) -> float:
        return self.value[1]


_ROW_COST = 0.06  # of one row's pass, assumed for rows not measured yet: little, so that they soon are
_SMOOTHING = 0.15  # weight of the newest measurement
_OUTLIER = 3.0  # a pass this many times slower than usual was disturbed and counts as this much
_RETRY = 48  # after so many drafts refused in a row one is tried, for prices change


class Acceptance:
    """How often tokens of each source were right, newest ones weighing most."""

    def __init__(self, start: Acceptance | None = None) -> None:
        self._rates: dict[Source, float] = dict(start._rates) if start else {source: source.prior for source in Source}

    def __getitem__(self, source: Source) -> float:
        return self._rates[source]

    def update(self, source: Source, right: bool, weight: float = _SMOOTHING) -> None:
        """Take one verified token."""
        self._rates[source] += weight * (right - self._rates[source])


class DraftBudget:
    """Chooses the number of drafted tokens that makes tokens per second highest."""

    def __init__(self) -> None:
        self.typical = Acceptance()
        self._seconds: dict[int, float] = {}
        self._known: list[int] = []
        self._refused = 0

    def observe(self, rows: int, seconds: float) -> None:
        """Take the time of one pass over ``rows`` rows with logits (prefill passes are not wanted here)."""
        before = self._seconds.get(rows)
        if before is None:
            insort(self._known, rows)
            self._seconds[rows] = seconds
        else:
            self._seconds[rows] = before + _SMOOTHING * (min(seconds, _OUTLIER * before) - before)

    def cost(self, rows: int) -> float:
        """Return the expected seconds of ``rows`` rows (any unit before the first measurement).

        Between two measured row counts it is a straight line; beyond them the assumed cost of a row goes on.
        """
        if not self._known:
            return _assumed(rows)
        at = bisect_left(self._known, rows)
        if at == len(self._known) or self._known[at] == rows or at == 0:
            nearest = self._known[min(at, len(self._known) - 1)]
            return self._seconds[nearest] * _assumed(rows) / _assumed(nearest)
        low, high = self._known[at - 1], self._known[at]
        share = (rows - low) / (high - low)
        return (1 - share) * self._seconds[low] + share * self._seconds[high]

    def keep(self, rates: Sequence[float], beside: int = 0) -> int:
        """Return how many drafted tokens to verify, given how likely each is right where those before it are.

        ``beside`` counts the rows the pass has anyway, of other sequences: each is worth one token.
        """
        if not rates:
            return 0
        expected, reached, chosen = 1.0 + beside, 1.0, 0
        best = expected / self.cost(1 + beside)
        for count, rate in enumerate(rates, 1):
            reached *= rate
            expected += reached
            if (speed := expected / self.cost(1 + beside + count)) > best:
                best, chosen = speed, count
        self._refused = 0 if chosen else self._refused + 1
        if self._refused >= _RETRY:
            self._refused, chosen = 0, min(2, len(rates))
        return chosen


def _assumed(rows: int) -> float:
    return 1.0 + _ROW_COST * (rows - 1)
