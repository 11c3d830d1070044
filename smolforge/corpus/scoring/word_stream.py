"""Words of many texts at once, as 64-bit hashes in one array: what the linear models and decontamination read.

Input: texts. Output: a ``WordStream``: each word's hash, the text it is of and where it stands. There is no Python
object a word: characters become numbers once, and NumPy does the rest (about 50 ns a character).
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.dedup.minhash import U64, mix

Ints = NDArray[np.int64]
BATCH_CHARACTERS = 1 << 18  # what is worked on at once stays in a core's own cache, more or less
_SPACE, _LETTER, _ALONE, _MARK, _DROPPED = range(5)
_TABLE = 0x32000  # code points from here on (private use, tags) are no words
_ROOT = 0x5851F42D4C957F2D  # odd, so that it has an inverse modulo 2^64
_HAN = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x31350))
_KANA = (0x3040, 0x3100)
_ARABIC_DROPPED = (*range(0x064B, 0x0660), 0x0670, 0x0640)  # short vowels and tatweel: written or not, the same word


@dataclass(frozen=True)
class WordStream:
    """``hashes`` uint64 (W,); ``begins``, ``ends`` int64 (W,): places in the characters of the word's own text, in
    Unicode's form NFC; ``firsts`` int64 (T + 1,): the first word of each text; ``alone`` bool (W,): a Han or kana
    character, which is a word by itself."""

    hashes: U64
    begins: Ints
    ends: Ints
    firsts: Ints
    alone: NDArray[np.bool_]

    @property
    def text(self) -> Ints:
        """Return the number of each word's text, int64 (W,)."""
        return np.repeat(np.arange(len(self.firsts) - 1), np.diff(self.firsts))


def word_stream(texts: Sequence[str], *, marks: bool = False, fold_digits: bool = False) -> WordStream:
    """Split texts into words: runs of letters and digits in lower case, and single Han or kana characters.

    ``marks``: every punctuation mark or symbol is a word too. ``fold_digits``: every digit is a 0.
    """
    folded = [text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text) for text in texts]
    starts_T = np.cumsum([0, *(len(text) + 1 for text in folded)])
    codes = np.frombuffer("\n".join([*folded, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = np.minimum(codes, _TABLE - 1)
    fold, kind_of = _tables(fold_digits)
    kinds, places = kind_of[codes], None
    if (kinds == _DROPPED).any():
        places = np.flatnonzero(kinds != _DROPPED)
        codes, kinds = codes[places], kinds[places]
    letter, alone = kinds == _LETTER, kinds == _ALONE
    single = alone | (kinds == _MARK) if marks else alone
    edge = np.diff(letter.view(np.int8), prepend=0, append=0)
    begins = np.flatnonzero((edge[:-1] == 1) | single)
    ends = np.flatnonzero((edge[1:] == -1) | single) + 1
    hashes = _hashed(fold[codes], begins, ends)
    own = alone[begins]
    if places is not None:
        begins, ends = places[begins], places[ends - 1] + 1
    firsts = np.searchsorted(begins, starts_T)
    shift = np.repeat(starts_T[:-1], np.diff(firsts))
    return WordStream(hashes, begins - shift, ends - shift, firsts, own)


def grams(hashes: U64, n: int) -> U64:
    """Return the hash of the ``n`` words from each place on, uint64 (W - n + 1,); ends of texts are not looked at."""
    count = max(0, len(hashes) - n + 1)
    state = np.zeros(count, np.uint64)
    for offset in range(n):
        state = state * np.uint64(_ROOT) + hashes[offset : offset + count]
    return mix(state)


def batches(texts: Sequence[str], characters: int = BATCH_CHARACTERS) -> Iterator[tuple[int, int]]:
    """Yield ranges (begin, end) of texts that together have about ``characters`` characters."""
    begin = size = 0
    for i, text in enumerate(texts):
        size += len(text) + 1
        if size >= characters:
            yield begin, i + 1
            begin, size = i + 1, 0
    if begin < len(texts):
        yield begin, len(texts)


def _hashed(codes: NDArray[np.uint32], begins: Ints, ends: Ints) -> U64:
    """Hash each word as a polynomial of its codes: differences of one running sum, shifted back to its first letter."""
    powers, inverses = _powers(1 << max(16, len(codes).bit_length()))
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * powers[: len(codes)], out=sums[1:])
    return mix((sums[ends] - sums[begins]) * inverses[begins])


@functools.lru_cache(maxsize=2)
def _powers(count: int) -> tuple[U64, U64]:
    inverse = pow(_ROOT, -1, 1 << 64)
    made = []
    for root in (_ROOT, inverse):
        powers = np.full(count, root, np.uint64)
        powers[0] = 1
        made.append(np.cumprod(powers))
    return made[0], made[1]


@functools.lru_cache(maxsize=2)
def _tables(fold_digits: bool) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Return what each code point becomes (uint32) and its kind (uint8)."""
    fold = np.arange(_TABLE, dtype=np.uint32)
    kinds = np.full(_TABLE, _SPACE, np.uint8)
    for code in range(_TABLE - 1):
        character = chr(code)
        group = unicodedata.category(character)
        if group[0] in "LNM":
            kinds[code] = _LETTER
            lower = character.lower()
            if group == "Nd" and fold_digits:
                fold[code] = ord("0")
            elif len(lower) == 1:
                fold[code] = ord(lower)
        elif group[0] in "PS":
            kinds[code] = _MARK
    for begin, end in (*_HAN, _KANA):
        kinds[begin:end] = _ALONE
    kinds[list(_ARABIC_DROPPED)] = _DROPPED
    return fold, kinds
