"""What followed the same few tokens before: the whole memory that drafts of repeated text need.

Input: runs of tokens. Output: the token that stood behind the longest known end of a text, the last time.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_KNOWN = 1 << 16  # ends in a generation of what is kept


class NGrams:
    """The token behind every run of ``orders`` tokens (how many, the longest first), the newest of several.

    Holds the newest half to whole of 2 × ``MOST_KNOWN`` runs.
    """

    def __init__(self, orders: tuple[int, ...]) -> None:
        self.orders = orders
        self._next: dict[tuple[int, ...], int] = {}
        self._older: dict[tuple[int, ...], int] = {}

    def learn(self, tokens: Sequence[int], begin: int) -> None:
        """Learn ``tokens[begin:]``, each by what stands before it."""
        if len(self._next) > MOST_KNOWN:
            self._older, self._next = self._next, {}
        for order in self.orders:
            run = tokens[max(0, begin - order) :]
            self._next.update(zip(zip(*(run[i:] for i in range(order)), strict=False), run[order:], strict=False))

    def following(self, end: tuple[int, ...]) -> tuple[int, int]:
        """Return the token behind the longest known run that ``end`` ends with, and that run's length; 0 if none."""
        for order in self.orders:
            if len(end) >= order:
                run = end[-order:]
                token = self._next.get(run)
                if token is None:
                    token = self._older.get(run)
                if token is not None:
                    return token, order
        return -1, 0
