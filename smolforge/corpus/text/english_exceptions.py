"""English chunks that fall into known pieces: contractions, abbreviations, times.

Input: nothing. Output: chunk -> lengths of its pieces, for the word splitter of ``native/text/english.h``. Straight and
curly apostrophes, and small and capital first letters, are treated alike.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import string
from collections.abc import Iterable
from typing import Any


@functools.lru_cache(maxsize=1)
def _lists() -> dict[str, Any]:
    place = importlib.resources.files("smolforge.corpus") / "rules" / "lists" / "english.json"
    return dict(json.loads(place.read_text(encoding="utf-8")))


@functools.lru_cache(maxsize=1)
def exceptions() -> dict[str, list[int]]:
    """Return every known chunk with the lengths of its pieces, in characters."""
    lists = _lists()
    found: dict[str, list[int]] = {}
    for chunk, lengths in _contractions():
        if chunk.lower() not in lists["words_without_apostrophe"]:
            found[chunk] = list(lengths)
    initials = (f"{letter}." for letter in string.ascii_lowercase)
    whole = (*lists["abbreviations"], *lists["faces"], *lists["whole"], *map(_capital, lists["whole"]), *initials)
    found |= {chunk: [len(chunk)] for chunk in whole}
    for chunk, pieces in lists["pieces"].items():
        found |= {chunk: pieces, _capital(chunk): pieces}
    for hour in range(1, 13):
        found |= {f"{hour}{half}": [len(str(hour)), len(half)] for half in ("am", "pm", "a.m.", "p.m.")}
    curly = {chunk.replace("'", "’"): lengths for chunk, lengths in found.items()}
    return {**curly, **found}


def _capital(chunk: str) -> str:
    """Return the chunk with its first letter, behind an apostrophe or not, as a capital."""
    at = next((i for i, c in enumerate(chunk) if c.isalpha()), 0)
    return chunk[:at] + chunk[at].upper() + chunk[at + 1 :]


def _contractions() -> Iterable[tuple[str, tuple[int, ...]]]:
    """Yield contractions with and without apostrophes: she'd've (3, 2, 3), shedve (3, 1, 2)."""
    lists = _lists()
    everyone, questions, negated = (*lists["pronouns"], *lists["questions"]), lists["questions"], lists["negated"]
    endings: list[tuple[Iterable[str], tuple[str, ...]]] = [
        (("i",), ("'m",)),
        (("i",), ("'m", "a")),
        (everyone, ("'ll",)),
        (everyone, ("'ll", "'ve")),
        (everyone, ("'d",)),
        (everyone, ("'d", "'ve")),
        (("i", "you", "we", "they", *questions, *lists["conditional"]), ("'ve",)),
        (("you", "we", "they", *questions), ("'re",)),
        (("he", "she", "it", *(w for w in questions if w not in ("these", "those"))), ("'s",)),
        (negated, ("n't",)),
        (negated, ("n't", "'ve")),
    ]
    for stems, parts in endings:
        for stem in stems:
            for word in (stem, stem.capitalize()):
                yield word + "".join(parts), (len(word), *map(len, parts))
                bare = [part.replace("'", "") for part in parts]
                yield word + "".join(bare), (len(word), *map(len, bare))
