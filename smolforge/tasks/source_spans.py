"""Where in a text each value of an answer stands.

Input: a JSON value and the text it was taken from. Output: a ``Field`` for every leaf, with character offsets into the
text where the value is found there: a string as it stands or with case and white space folded, a number by its digits,
however they are grouped. What is not found is ``inferred``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Scripts written without spaces, in which a word may begin and end anywhere: Thai, Burmese, Khmer, Chinese, Japanese,
# Korean (whose particles stand at the word).
UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ud7ff"
_WORD = re.compile(rf"[^\W_{UNSPACED}]")
_NUMBER = re.compile(r"(?:(?<!\w)[-−+])?\d+(?:(?:[.,'’٬٫]|(?<=\d)[\u0020\u00a0\u202f\u2009](?=\d{3}(?!\d)))\d+)*")
_LEADING_ZERO = re.compile(r"[-−+]?0\d")
_GROUPS = re.compile(r"[\s'’٬\u00a0\u202f\u2009]")


@dataclass(frozen=True)
class Field:
    """One value: ``path`` is a JSON pointer; ``text[start:end]`` is where it came from, None where it is inferred."""

    path: str
    value: str | int | float | bool | None
    start: int | None = None
    end: int | None = None

    @property
    def inferred(self) -> bool:
        """Whether the value stands nowhere in the text."""
        return self.start is None


def locate(value: Any, text: str) -> tuple[Field, ...]:
    """Return every leaf of ``value`` with its place in ``text``.

    Of several places, a string takes the first behind the field before it, for answers follow their text, and a number
    the nearest to that field.
    """
    finder = _Finder(text)
    return tuple(finder.find(path, leaf) for path, leaf in leaves(value))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (JSON pointer, value) of every string, number, boolean and null."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{i}")
    else:
        yield path, value


class _Finder:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._numbers: list[tuple[int, int, frozenset[float]]] | None = None

    def find(self, path: str, value: Any) -> Field:
        """Return the field, and remember its place for the next one."""
        place = None
        if isinstance(value, str) and value.strip():
            place = self._string(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            place = self._number(value)
        if place is None:
            return Field(path, value)
        self._at = place[1]
        return Field(path, value, *place)

    def _string(self, value: str) -> tuple[int, int] | None:
        folded = r"\s+".join(map(re.escape, value.split()))
        for pattern in (re.compile(re.escape(value)), re.compile(folded, re.IGNORECASE)):
            first = None
            for match in pattern.finditer(self._text):
                if not self._inside_a_word(*match.span()):
                    first = first or match.span()
                    if match.start() >= self._at:
                        return match.span()
            if first is not None:
                return first
        return None

    def _inside_a_word(self, start: int, end: int) -> bool:
        text = self._text
        return any(
            0 < at < len(text) and _WORD.match(text[at - 1]) is not None and _WORD.match(text[at]) is not None
            for at in (start, end)
        )

    def _number(self, value: float) -> tuple[int, int] | None:
        if self._numbers is None:
            self._numbers = numbers(self._text)
        places = [(start, end) for start, end, values in self._numbers if value in values]
        return min(places, key=lambda place: abs(place[0] - self._at), default=None)


def numbers(text: str) -> list[tuple[int, int, frozenset[float]]]:
    """Return (start, end, what it may mean) of every written number."""
    return [(*match.span(), readings(match[0])) for match in _NUMBER.finditer(text)]


def readings(digits: str) -> frozenset[float]:
    """Return what a written number may mean: 1,200 is twelve hundred to some and one and a fifth to others.

    What begins with a zero, such as a month or a part of a telephone number, is not taken for a quantity.
    """
    if _LEADING_ZERO.match(digits):
        return frozenset()
    plain = _GROUPS.sub("", digits.replace("−", "-").replace("٫", "."))
    marks = [mark for mark in plain if mark in ".,"]
    written = {plain.replace(".", "").replace(",", "")} if _grouped(plain) else set()
    if marks:  # the last mark may be the decimal one, if it stands once
        last = marks[-1]
        if marks.count(last) == 1:
            whole, _, part = plain.rpartition(last)
            written.add(f"{whole.replace('.', '').replace(',', '')}.{part}")
    else:
        written.add(plain)
    found = {float(text) for text in written}
    return frozenset(found | {-number for number in found if digits[0] in "-−"})


def _grouped(plain: str) -> bool:
    """Whether all marks can be marks of thousands."""
    return all(len(group) == 3 for group in re.split(r"[.,]", plain)[1:])
