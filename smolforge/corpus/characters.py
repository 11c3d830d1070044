"""What the text kernels know of each character, from this Python's own Unicode tables.

Input: nothing. Output: one row of flags a code point (``native/text/characters.h`` has the same bits), and two tables
that map a character to another: its lower case, and its normal form for near-duplicate search.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.text import ARABIC, ARABIC_MARKS, CYRILLIC, DIACRITICS, HAN, LATIN

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
_ASSIGNED = [*range(0x33480), *range(0xE0000, 0xE0200)]
_COUNT = sys.maxunicode + 1
_GONE, _NEEDS_CONTEXT = 0xFFFFFFFF, 0xFFFFFFFE  # as in native/text/nominate.h


def _where(holds: Callable[[str], bool]) -> list[int]:
    return [code for code in _ASSIGNED if holds(chr(code))]


def _codes(characters: str) -> list[int]:
    return [ord(character) for character in characters]


def is_mathematical(character: str) -> bool:
    """True for operators beyond ASCII, Greek letters, small figures, and letters in a mathematical style."""
    code = ord(character)
    letter = 0x370 <= code <= 0x3FF or 0x2100 <= code <= 0x214F or 0x1D400 <= code <= 0x1D7FF
    return (
        (code > 0x7F and unicodedata.category(character) == "Sm")
        or (letter and character.isalpha())
        or 0x2070 <= code <= 0x209F
        or character in "²³¹"
    )


@functools.lru_cache(maxsize=1)
def flags() -> NDArray[np.uint32]:
    """Return uint32 (0x110000,): the flags of every code point. Takes a fraction of a second, once a process."""
    category = {code: unicodedata.category(chr(code)) for code in _ASSIGNED}
    letters = _where(str.isalpha)
    han = re.compile(f"[{HAN}]")
    rows = [
        letters,
        [code for code in letters if not chr(code).isupper()],
        [code for code in letters if not chr(code).islower()],
        _where(str.isspace),
        _codes(LINE_BREAKS),
        _codes(SYMBOLS) + _CONTROLS,
        _codes(AFFIXES),
        _codes(QUOTES),
        _codes(CURRENCIES),
        [code for code, name in category.items() if name == "So"],
        _codes(SENTENCE_ENDS),
        [code for code, name in category.items() if name.startswith("P")],
        _codes(SENTENCE_ENDS),
        _codes(HYPHENS),
        _where(str.isalnum),
        _where(lambda c: han.match(c) is not None),
        _where(str.isupper),
        [code for code in _where(lambda c: c.islower() or c.istitle()) if not chr(code).isupper()],
        _codes(LINE_ENDS),
        _codes(BULLETS),
        _where(lambda c: ARABIC_MARKS.match(c) is not None),
        _where(is_mathematical),
        _codes(_BASE64),
        _where(lambda c: LATIN.match(c) is not None),
        _where(lambda c: ARABIC.match(c) is not None),
        _where(lambda c: CYRILLIC.match(c) is not None),
    ]
    table = np.zeros(_COUNT, np.uint32)
    for bit, codes in enumerate(rows):
        table[codes] |= np.uint32(1 << bit)
    table.flags.writeable = False
    return table


@functools.lru_cache(maxsize=1)
def lower_table() -> NDArray[np.uint32]:
    """Return uint32 (0x110000,): the lower case of every code point; itself where that is two characters."""
    table = np.arange(_COUNT, dtype=np.uint32)
    for code in _where(str.isalpha) + _where(str.isupper):
        lowered = chr(code).lower()
        table[code] = ord(lowered) if len(lowered) == 1 else code
    table.flags.writeable = False
    return table


@functools.lru_cache(maxsize=1)
def normal_table() -> NDArray[np.uint32]:
    """Return uint32 (0x110000,): what ``text.nomination_words`` makes of every code point before it looks for words.

    Two values are no characters: one for a character that vanishes, one where the form depends on the neighbours
    (what composes with the character before it, marks that are sorted, the two sigmas); Python decides such a text.
    """
    table = np.arange(_COUNT, dtype=np.uint32)
    trailing: set[str] = set()  # whatever stands behind the first character of a decomposition
    for code in _ASSIGNED:
        character = chr(code)
        trailing.update(unicodedata.normalize("NFD", character)[1:])
        lowered = "0" if character.isdecimal() else character.lower()
        form = unicodedata.normalize("NFC", DIACRITICS.sub("", unicodedata.normalize("NFD", lowered)))
        context = len(form) > 1 or character == "Σ" or any(map(unicodedata.combining, form))
        table[code] = _NEEDS_CONTEXT if context else ord(form) if form else _GONE
    table[[ord(c) for c in trailing if not DIACRITICS.match(c)]] = _NEEDS_CONTEXT
    table.flags.writeable = False
    return table
