"""Two texts side by side, from just before the first place where they differ.

Input: the text that stays and the one that was removed for it. Output: an excerpt of each as runs of words, each run
marked where the other text does not have it. Made for looking, not for judging: the score comes from elsewhere.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

WORDS = 90  # shown of each text
_BEFORE = 15  # of them before the first difference
_READ = 20_000  # words that are looked through for it
_ANCHOR = 6  # words in a row by which the beginnings are laid side by side
_LONGEST = 60  # characters of a word that are shown
# A word with the white space behind it; a Chinese or Japanese character is a word.
_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]\s*|[^\s\u2e80-\u9fff\uac00-\ud7af]{1,60}\s*|\s+")

Code = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]  # as difflib has them


@dataclass(frozen=True)
class Run:
    """Some words in a row; ``differs``: the other excerpt does not have them here."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Comparison:
    """Excerpts that are laid side by side. ``differs`` is false where no difference was found."""

    kept: tuple[Run, ...]
    removed: tuple[Run, ...]
    differs: bool


def compare(kept: str, removed: str, words: int = WORDS) -> Comparison:
    """Return excerpts of about ``words`` words of each text around their first difference."""
    left, right = _words(kept), _words(removed)
    at_left, at_right = _beginning(left, right)
    same = _same(left[at_left:], right[at_right:])
    # What the removed text has before that, and from the first other word on, differs; it may just end earlier.
    differs = at_right > 0 or same < len(right) - at_right
    moved = -min(at_right, _BEFORE) if at_right else max(0, same - _BEFORE) if differs else 0
    shown_left, shown_right = (
        side[max(0, at + moved) : max(0, at + moved) + words] for side, at in ((left, at_left), (right, at_right))
    )
    matcher = difflib.SequenceMatcher(None, [w.strip() for w in shown_left], [w.strip() for w in shown_right], False)
    runs_left: list[Run] = []
    runs_right: list[Run] = []
    for kind, a, b, c, d in _whole(matcher.get_opcodes(), len(shown_left) == len(shown_right) == words):
        for runs, shown, first, last in ((runs_left, shown_left, a, b), (runs_right, shown_right, c, d)):
            if last > first:
                runs.append(Run("".join(shown[first:last]), kind != "equal"))
    return Comparison(tuple(runs_left), tuple(runs_right), differs)


def _whole(codes: list[Code], is_cut: bool) -> list[Code]:
    """Return the edits without the last one where it only says that excerpts of one length end at different words."""
    edits = [code for code in codes if code[0] != "equal"]
    return codes[:-1] if is_cut and len(edits) > 1 and codes[-1][0] != "equal" else codes


def _words(text: str) -> list[str]:
    return [found[0] for found, _ in zip(_WORD.finditer(text.strip()), range(_READ), strict=False)]


def _beginning(left: Sequence[str], right: Sequence[str]) -> tuple[int, int]:
    """Return where both texts first have the same few words in a row: a header of one alone is passed over."""
    folded = [[word.strip().lower() for word in words] for words in (left, right)]
    places: dict[tuple[str, ...], int] = {}
    for at in range(len(left) - _ANCHOR, -1, -1):
        places[tuple(folded[0][at : at + _ANCHOR])] = at
    for at in range(max(0, len(right) - _ANCHOR + 1)):
        place = places.get(tuple(folded[1][at : at + _ANCHOR]))
        if place is not None:
            return place, at
    return 0, 0


def _same(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many words both have in common from their first on."""
    pairs = zip(left, right, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a.strip() != b.strip()), min(len(left), len(right)))
