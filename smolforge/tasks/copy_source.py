"""What a free slot may copy: the spans of a command, or the numbers in it, as byte positions an automaton can follow.

Input: the command a person typed. Output: a ``CopySource``, the command's JSON-escaped bytes with the places where a
value may start and end. Used by ``call_constraint`` for every slot the tool marks ``x-copy``.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

BREAK = -1  # stands between two candidates; no token byte equals it

# Written together with the noun: Arabic article, prepositions and conjunctions; Italian prepositions before an article.
_CLITICS = ("ال", "لل", "ل", "لال", "ب", "بال", "و", "وال", "ف", "فال", "ك", "كال")
PREFIXES = (*_CLITICS, "su", "de", "ne", "Su", "De", "Ne")
SUFFIXES = ("s", "es")
SHORTEST_STEM = 2

_NUMBER = re.compile(r"(?<![\d.,])-?\d+(?:[.,]\d+)?")
_NO_SPACES = ((0x2E80, 0x9FFF), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF), (0x0E00, 0x0EFF))


@dataclass(frozen=True)
class CopySource:
    """``units[i]`` is a byte or BREAK; a value covers ``units[s:e]`` with s in ``starts`` and e in ``ends``, s < e."""

    units: tuple[int, ...]
    starts: tuple[int, ...]
    ends: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.starts)


def _is_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _without_spaces(character: str) -> bool:
    code = ord(character)
    return any(low <= code <= high for low, high in _NO_SPACES)


def is_boundary(text: str, index: int) -> bool:
    """Say whether a span may begin or end between characters ``index - 1`` and ``index``.

    Inside a run of letters, marks and digits it may not, unless one of the two neighbours belongs to a script that is
    written without spaces (Han, kana, Hangul, Thai, Lao), or a capital follows a small letter ("EtageGeschoss"). A
    combining mark is never parted from its letter.
    """
    if index <= 0 or index >= len(text):
        return True
    before, after = text[index - 1], text[index]
    if unicodedata.category(after)[0] == "M":
        return False
    if not (_is_word(before) and _is_word(after)) or (before.islower() and after.isupper()):
        return True
    return _without_spaces(before) or _without_spaces(after)


def _edges(text: str) -> tuple[set[int], set[int]]:
    """Return where a span may begin and end: at word boundaries, behind a clitic, and before a case ending."""
    cuts = [index for index in range(len(text) + 1) if is_boundary(text, index)]
    starts, ends = set(cuts[:-1]), set(cuts[1:])
    for begin, end in pairwise(cuts):
        word = text[begin:end]
        starts |= {begin + len(p) for p in PREFIXES if word.startswith(p) and len(word) - len(p) >= SHORTEST_STEM}
        ends |= {end - len(s) for s in SUFFIXES if word.endswith(s) and len(word) - len(s) >= SHORTEST_STEM}
    return {start for start in starts if unicodedata.category(text[start])[0] != "M"}, ends


def spans_of(command: str) -> CopySource:
    """Return every word-aligned span of the command that does not begin or end with white space.

    Prefixes that Arabic and Italian write onto the noun, and the German and English s, may be left out of the span.
    """
    units: list[int] = []
    starts: list[int] = []
    ends: set[int] = set()
    begins, closes = _edges(command)
    for index, character in enumerate(command):
        if index in begins and not character.isspace():
            starts.append(len(units))
        units.extend(json.dumps(character, ensure_ascii=False)[1:-1].encode("utf-8", errors="replace"))
        if index + 1 in closes and not character.isspace():
            ends.add(len(units))
    return CopySource(tuple(units), tuple(starts), frozenset(ends))


def numbers_of(command: str, *, whole: bool, minimum: float | None = None, maximum: float | None = None) -> CopySource:
    """Return the numbers in the command as JSON numbers, ASCII digits, duplicates removed, those out of range left out.

    Digits of any script count (٢٠ is 20); a decimal comma becomes a point. ``whole`` keeps integers only.
    """
    units: list[int] = []
    starts: list[int] = []
    ends: set[int] = set()
    for text in dict.fromkeys(_json_number(match.group()) for match in _NUMBER.finditer(command)):
        value = float(text)
        below, above = minimum is not None and value < minimum, maximum is not None and value > maximum
        if below or above or (whole and "." in text):
            continue
        starts.append(len(units))
        units.extend(text.encode())
        ends.add(len(units))
        units.append(BREAK)
    return CopySource(tuple(units), tuple(starts), frozenset(ends))


def _json_number(text: str) -> str:
    digits = "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in text.replace(",", "."))
    number = json.loads(re.sub(r"^(-?)0+(?=\d)", r"\1", digits))
    return json.dumps(int(number) if isinstance(number, float) and number.is_integer() else number)
