"""Where personal data could be: windows of a text with the characters it needs, found without expressions.

Input: a text. Output: ranges of characters for each kind. Most texts have none, and cost a few vector operations.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Window = tuple[int, int]
_ZEROS = (0x30, 0x0660, 0x06F0, 0xFF10)  # digits: ASCII, Arabic, Persian, full width
_PAD = 40  # characters of context on either side, more than any pattern looks at beyond its digits


class Candidates:
    """Places of digits and marks in one text, computed when asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @functools.cached_property
    def _codes(self) -> NDArray[np.uint8] | NDArray[np.uint32]:
        if self.text.isascii():
            return np.frombuffer(self.text.encode("ascii"), np.uint8)
        return np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), np.uint32)

    @functools.cached_property
    def _digit(self) -> NDArray[np.bool_]:
        codes = self._codes
        found = (codes - codes.dtype.type(_ZEROS[0])) < 10  # unsigned: what is below the zero wraps to large numbers
        if codes.dtype == np.uint32 and codes.size and codes.max() >= _ZEROS[1]:
            for zero in _ZEROS[1:]:
                found |= (codes - np.uint32(zero)) < 10
        return found

    @functools.cached_property
    def _digits(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._digit)

    def digits(self, count: int, span: int) -> list[Window]:
        """Return windows around ``count`` digits within ``span`` characters."""
        return _windows(self._digits, count, span, len(self.text))

    def dotted(self) -> list[Window]:
        """Return windows around three dots with digits on both sides, four apart at most: dotted addresses."""
        return _windows(self._between_digits("."), 3, 9, len(self.text))

    def colons(self) -> list[Window]:
        """Return windows around two colons that are five apart at most."""
        if self.text.count(":") < 2:
            return []
        return _windows(np.flatnonzero(self._codes == ord(":")), 2, 6, len(self.text))

    def _between_digits(self, mark: str) -> NDArray[np.int64]:
        if mark not in self.text or len(self._digits) < 2:
            return np.empty(0, np.int64)
        places = np.flatnonzero(self._codes == ord(mark))
        places = places[(places > 0) & (places < len(self.text) - 1)]
        return places[self._digit[places - 1] & self._digit[places + 1]]


def _windows(places: NDArray[np.int64], count: int, span: int, length: int) -> list[Window]:
    """Return the ranges, merged where they touch, around each ``count`` places within ``span`` characters."""
    if len(places) < count:
        return []
    first, last = places[: len(places) - count + 1], places[count - 1 :]
    near = last - first < span
    if not near.any():
        return []
    merged: list[Window] = []
    starts = np.maximum(first[near] - _PAD, 0)
    ends = np.minimum(last[near] + _PAD, length)
    breaks = np.flatnonzero(starts[1:] > ends[:-1]) + 1
    for group_start, group_end in zip(np.append(0, breaks), np.append(breaks, len(starts)), strict=True):
        merged.append((int(starts[group_start]), int(ends[group_end - 1])))
    return merged


def occurrences(text: str, marks: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield (mark, place) of every occurrence."""
    for mark in marks:
        at = text.find(mark)
        while at >= 0:
            yield mark, at
            at = text.find(mark, at + 1)
