"""Two texts beside each other on a terminal, wrapped at words, wide characters counted as two cells."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import zip_longest

GUTTER = "  │  "
_ZERO = ("Mn", "Me", "Cf")


def cells(text: str) -> int:
    """Return how many cells of a terminal a line takes."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.category(character) in _ZERO:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, width: int) -> Iterator[str]:
    """Yield lines of at most ``width`` cells; a word that is longer is broken."""
    for line in text.expandtabs(4).split("\n"):
        yield from _wrapped_line(line, width)


def _wrapped_line(line: str, width: int) -> Iterator[str]:
    here = ""
    for word in line.split(" "):
        joined = f"{here} {word}" if here else word
        if cells(joined) <= width:
            here = joined
            continue
        if here:
            yield here
        here = ""
        for character in word:
            if cells(here + character) > width:
                yield here
                here = ""
            here += character
    yield here


def beside(left: str, right: str, width: int) -> str:
    """Return two texts as columns of ``width`` cells in all."""
    column = (width - len(GUTTER)) // 2
    lines = zip_longest(wrapped(left, column), wrapped(right, column), fillvalue="")
    return "\n".join(f"{a}{' ' * (column - cells(a))}{GUTTER}{b}".rstrip() for a, b in lines)
