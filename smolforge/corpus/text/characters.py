"""What the text kernels know of each character, from this Python's own Unicode tables.

Input: nothing. Output: one row of flags a code point (``native/text/characters.h`` has the same bits), and two tables
that map a character to another: its lower case, and its normal form for near-duplicate search. They are made once and
then mapped from the cache.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.text import words as text
from smolforge.corpus.text.words import ARABIC, ARABIC_MARKS, CYRILLIC, DIACRITICS, HAN, LATIN
from smolforge.store import digest_file
from smolforge.store.cache import Arrays, cached_arrays

LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# Counted for no word by themselves: the published floors were found with marks, signs and control characters left out.
SYMBOLS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»؟۔।"
AFFIXES = ",:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
SENTENCE_ENDS = "!.?։؟۔।॥。｡！．？‼‽⁇⁈⁉⸮"
HYPHENS = "-–—~"
# Of our own words and features (text.py, features.py).
LINE_ENDS = ".!?\"'”’»)]…。！？；：）」』؟۔"
BULLETS = "•-*‣●◦–·"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_CONTROLS = [*range(9), 11, 12, *range(13, 32), *range(127, 160)]
# Unicode has assigned no character with a property of interest elsewhere; a test compares the tables to str's methods.
_ASSIGNED: NDArray[np.int64] = np.r_[:0x33480, 0xE0000:0xE0200]
_COUNT = sys.maxunicode + 1
_GONE, _NEEDS_CONTEXT = 0xFFFFFFFF, 0xFFFFFFFE  # as in native/text/nominate.h
_MATHEMATICAL = re.compile("[\u0370-\u03ff\u2100-\u214f\U0001d400-\U0001d7ff]")  # blocks whose letters are
_SMALL_FIGURE = re.compile("[²³¹\u2070-\u209f]")


@functools.lru_cache(maxsize=1)
def _characters() -> str:
    """Return all assigned characters, one behind the other."""
    return _ASSIGNED.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _holds(test: Callable[[str], bool | int]) -> NDArray[np.bool_]:
    """Return for each assigned character whether the test holds."""
    return np.fromiter(map(test, _characters()), bool, len(_ASSIGNED))


def _matching(one: re.Pattern[str]) -> NDArray[np.int64]:
    """Return the codes of characters that a pattern for one character matches."""
    return _ASSIGNED[[match.start() for match in one.finditer(_characters())]]


def _codes(characters: str) -> NDArray[np.int64]:
    return np.array([ord(character) for character in characters])


def is_mathematical(character: str) -> bool:
    """True for operators beyond ASCII, Greek letters, small figures, and letters in a mathematical style."""
    return (
        (character > "\x7f" and unicodedata.category(character) == "Sm")
        or (_MATHEMATICAL.match(character) is not None and character.isalpha())
        or _SMALL_FIGURE.match(character) is not None
    )


def flags() -> NDArray[np.uint32]:
    """Return uint32 (0x110000,): the flags of every code point."""
    return _tables()["flags"]


def lower_table() -> NDArray[np.uint32]:
    """Return uint32 (0x110000,): the lower case of every code point; itself where that is two characters."""
    return _tables()["lower"]


def normal_table() -> NDArray[np.uint32]:
    """Return uint32 (0x110000,): what ``words.nomination_words`` makes of every code point before it looks for words.

    Two values are no characters: one for a character that vanishes, one where the form depends on the neighbours
    (what composes with the character before it, marks that are sorted, the two sigmas); Python decides such a text.
    """
    return _tables()["normal"]


@functools.lru_cache(maxsize=1)
def _tables() -> Arrays:
    code = [digest_file(Path(file)) for file in (__file__, text.__file__)]
    made_from = [unicodedata.unidata_version, *code]
    make = {"flags": _flags, "lower": _lower, "normal": _normal}
    return cached_arrays("characters", made_from, list(make), lambda: {name: each() for name, each in make.items()})


def _flags() -> NDArray[np.uint32]:
    category = np.array(list(map(unicodedata.category, _characters())))
    mathematical = np.r_[_ASSIGNED[category == "Sm"], _matching(_MATHEMATICAL), _matching(_SMALL_FIGURE)]
    letter, upper, lower, title = map(_holds, (str.isalpha, str.isupper, str.islower, str.istitle))
    rows = [
        _ASSIGNED[letter],
        _ASSIGNED[letter & ~upper],
        _ASSIGNED[letter & ~lower],
        _ASSIGNED[_holds(str.isspace)],
        _codes(LINE_BREAKS),
        np.r_[_codes(SYMBOLS), _CONTROLS],
        _codes(AFFIXES),
        _codes(QUOTES),
        _codes(CURRENCIES),
        _ASSIGNED[category == "So"],
        _codes(SENTENCE_ENDS),
        _ASSIGNED[category.astype("U1") == "P"],
        _codes(SENTENCE_ENDS),
        _codes(HYPHENS),
        _ASSIGNED[_holds(str.isalnum)],
        _matching(re.compile(f"[{HAN}]")),
        _ASSIGNED[upper],
        _ASSIGNED[(lower | title) & ~upper],
        _codes(LINE_ENDS),
        _codes(BULLETS),
        _matching(ARABIC_MARKS),
        [code for code in mathematical.tolist() if is_mathematical(chr(code))],
        _codes(_BASE64),
        _matching(LATIN),
        _matching(ARABIC),
        _matching(CYRILLIC),
    ]
    table = np.zeros(_COUNT, np.uint32)
    for bit, codes in enumerate(rows):
        table[codes] |= np.uint32(1 << bit)
    return table


def _lower() -> NDArray[np.uint32]:
    table = np.arange(_COUNT, dtype=np.uint32)
    for code, character in zip(_ASSIGNED.tolist(), _characters(), strict=True):
        lowered = character.lower()
        if lowered != character and len(lowered) == 1:
            table[code] = ord(lowered)
    return table


def _normal() -> NDArray[np.uint32]:
    table = np.arange(_COUNT, dtype=np.uint32)
    trailing: set[str] = set()  # whatever stands behind the first character of a decomposition
    marks = {*_ASSIGNED[_holds(unicodedata.combining)].tolist(), *_matching(DIACRITICS).tolist()}
    for code, character in zip(_ASSIGNED.tolist(), _characters(), strict=True):
        parts = unicodedata.normalize("NFD", character)
        lowered = "0" if character.isdecimal() else character.lower()
        if lowered == character == parts and code not in marks:
            continue  # most of them: the form is the character
        trailing.update(parts[1:])
        form = unicodedata.normalize("NFC", DIACRITICS.sub("", unicodedata.normalize("NFD", lowered)))
        context = len(form) > 1 or character == "Σ" or any(map(unicodedata.combining, form))
        table[code] = _NEEDS_CONTEXT if context else ord(form) if form else _GONE
    table[[ord(c) for c in trailing if not DIACRITICS.match(c)]] = _NEEDS_CONTEXT
    return table
