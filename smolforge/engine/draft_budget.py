"""How many drafted tokens pay: the measured cost of a forward pass by rows, and how often guesses were right.

Input: (rows, seconds) of passes, and whether drafts were accepted. Output: how much of a draft to verify. One object
serves one engine; nothing here can change an answer, only how soon it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from smolforge.engine.pass_cost import PassCost


class Source(Enum):
    """Where a drafted token comes from; the value is how often it is right before anything was seen."""

    FORCED = ("forced", 0.95)  # the grammar leaves no other text
    BORDER = ("border", 0.8)  # the last token of forced text, which may yet merge with what follows
    SPAN = ("span", 0.8)  # how the prompt goes on behind the same words, inside a string: its next token
    FIND = ("find", 0.55)  # the same, where the string has but one token yet
    TAIL = ("tail", 0.3)  # the same, where the prompt has only the string's newest tokens
    ON = ("on", 0.9)  # the tokens of the passage behind that one
    CLOSE = ("close", 0.65)  # the end of a string where its passage in the prompt ends
    LONG = ("long", 0.9)  # what followed the last eight tokens before
    LONG_VALUE = ("long value", 0.7)  # the same, where it begins a value
    MIDDLE = ("middle", 0.6)  # what followed the last four tokens before
    MIDDLE_VALUE = ("middle value", 0.5)  # the same, where it begins a value
    WITHIN = ("within", 0.6)  # the first token of either inside a value, which may end here
    SHORT = ("short", 0.5)  # what followed the last two tokens before
    LAST = ("last", 0.3)  # what followed the last token before

    __hash__ = object.__hash__  # looked up for every drafted token; an enumeration's own hash is a Python call

    @property
    def prior(self) -> float:
        return self.value[1]


_SMOOTHING = 0.08  # weight of the newest outcome
_RETRY = 48  # after so many drafts refused in a row one is tried, for prices change


class Acceptance(dict[Source, float]):
    """How often tokens of each source were right, newest ones weighing most."""

    def __init__(self, start: Acceptance | None = None) -> None:
        super().__init__(start or {source: source.prior for source in Source})

    def learn(self, source: Source, right: bool, weight: float = _SMOOTHING) -> None:
        """Take one verified token."""
        self[source] += weight * (right - self[source])


class DraftBudget:
    """Chooses the number of drafted tokens that makes tokens per second highest."""

    def __init__(self) -> None:
        self.typical = Acceptance()
        self._cost = PassCost()
        self._refused = 0

    def observe(self, rows: int, seconds: float) -> None:
        """Take the time of one pass over ``rows`` rows with logits (prefill passes are not wanted here)."""
        self._cost.observe(rows, seconds)

    def keep(self, rates: Sequence[float], beside: int = 0) -> int:
        """Return how many drafted tokens to verify, given how likely each is right where those before it are.

        ``beside`` counts the rows the pass has anyway, of other sequences: each is worth one token.
        """
        if not rates:
            return 0
        expected, reached, chosen = 1.0 + beside, 1.0, 0
        best = expected / self._cost[1 + beside]
        for count, rate in enumerate(rates, 1):
            reached *= rate
            expected += reached
            if (speed := expected / self._cost[1 + beside + count]) > best:
                best, chosen = speed, count
        self._refused = 0 if chosen else self._refused + 1
        if self._refused >= _RETRY:
            self._refused, chosen = 0, min(2, len(rates))
        return chosen
