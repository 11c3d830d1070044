"""The tokens of prompt and answer in one growing array, and where its end stood before.

Input: a prompt and the answer's tokens one by one. Output: earlier places whose last tokens equal the newest ones,
which penalties count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


class History:
    """Prompt and answer so far; ``start`` is where the answer begins."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._tokens = np.empty(len(prompt) + 256, dtype=np.int64)
        self._tokens[: len(prompt)] = prompt
        self.start = self.length = len(prompt)

    def append(self, token: int) -> None:
        """Add a token of the answer."""
        if self.length == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.empty_like(self._tokens)])
        self._tokens[self.length] = token
        self.length += 1

    def view(self, begin: int = 0) -> NDArray[np.int64]:
        """Return the tokens from ``begin`` on, int64; valid until the next ``append``."""
        return self._tokens[begin : self.length]


def repeats(tokens: NDArray[np.int64], longest: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield (n, places) for n = 1, 2 … ``longest``: the indexes before the last at which the last n tokens also end.

    Ends where no place is left. Costs one pass over ``tokens`` and little for every further n.
    """
    if len(tokens) < 2:
        return
    places = np.flatnonzero(tokens[:-1] == tokens[-1])
    for length in range(1, longest + 1):
        if not len(places):
            return
        yield length, places
        places = places[places >= length]
        if len(places):
            places = places[tokens[places - length] == tokens[-1 - length]]
