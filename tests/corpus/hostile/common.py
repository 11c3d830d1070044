"""What hostile inputs have in common: a name, bytes, what may become of them, and the good texts that stand beside.

In: nothing. Out: the same inputs on every call; whatever looks like chance is a hash of a name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROBLEM, DROPPED, TEXT, POISONED = "problem", "dropped", "text", "poisoned"
NOTHING = "nothing"  # it holds no text and claims none: no rows, white space, a body of zero bytes
ANY = frozenset({PROBLEM, DROPPED, TEXT, POISONED})
LOUD = frozenset({PROBLEM, POISONED})  # it must be reported


@dataclass(frozen=True)
class Hostile:
    """One input. ``name`` is its path below the folder of its ``family``, as tables and problems name it; ``write``
    puts it there. ``good`` are texts inside it that must come out unchanged whatever happens to the rest."""

    family: str
    name: str
    write: Callable[[Path], object]
    may: frozenset[str] = ANY
    good: tuple[str, ...] = ()
    heavy: bool = False  # to make or to read: no part of the short run


def file(
    family: str,
    name: str,
    data: bytes | Callable[[], bytes],
    may: frozenset[str] = ANY,
    good: tuple[str, ...] = (),
) -> Hostile:
    """Return an input that is a file of some bytes; a heavy one where they are made when it is written."""

    def write(path: Path) -> None:
        path.write_bytes(data if isinstance(data, bytes) else data())

    return Hostile(family, name, write, may, good, heavy=not isinstance(data, bytes))


def quiet(outcomes: frozenset[str] = ANY) -> frozenset[str]:
    """Return outcomes with "nothing" among them."""
    return outcomes | {NOTHING}


_WORDS = {
    "who": "captain teacher farmer gardener painter doctor neighbour carpenter merchant sailor miller printer weaver "
    "baker shepherd clerk traveller blacksmith fisherman librarian",
    "how": "old quiet young careful stubborn cheerful patient honest famous tired clever gentle lonely proud restless",
    "did": "repaired carried remembered described followed measured visited painted borrowed counted discovered "
    "watched collected explained finished forgot guarded found",
    "what": "bridge letter lantern orchard ladder harbour window machine garden journey library wagon mountain "
    "blanket clock furnace violin basket chimney ledger",
    "where": "village valley market station island meadow kitchen cellar workshop theatre forest quarry chapel "
    "warehouse vineyard school castle ferry",
    "when": "before the winter began|while nobody was looking|after the long rain had ended|in the evening of that day|"
    "because the others had asked for it|although it was already late|when the first snow had fallen|"
    "as soon as the road was open again|without saying a word to anybody|during the last week of summer",
}
_CHOICES = {kind: text.split("|" if kind == "when" else " ") for kind, text in _WORDS.items()}


def choices(name: str, kinds: str, turn: int) -> Iterator[str]:
    """Yield a word of each kind, chosen by a hash: another one at each of few turns."""
    digest = hashlib.blake2b(name.encode()).digest()
    for at, kind in enumerate(kinds.split()):
        found = _CHOICES[kind]
        yield found[(int.from_bytes(digest[2 * at : 2 * at + 2], "big") + turn) % len(found)]


def good_text(name: str, sentences: int = 10) -> str:
    """Return an English text of its own that every step lets pass; with more sentences it would repeat itself."""
    parts = []
    for turn in range(sentences):
        how, who, did, more, what, where, when = choices(name, "how who did how what where when", turn)
        parts.append(f"The {how} {who} {did} the {more} {what} in the {where} {when}.")
    return " ".join(parts)


def noise(name: str, size: int) -> bytes:
    """Return bytes without any order."""
    return hashlib.shake_128(name.encode()).digest(size)


def places(size: int, count: int) -> list[int]:
    """Return ``count`` places spread over ``size`` bytes, the first and last byte among them."""
    return [1 + (size - 2) * number // max(count - 1, 1) for number in range(count)]
