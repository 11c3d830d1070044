"""What the text kernels know of each character, from this Python's own Unicode tables.

Input: nothing. Output: one row of flags a code point (``native/text/characters.h`` has the same bits).
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# Counted for no word by themselves: the published floors were found with marks, signs and control characters left out.
SYMBOLS = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»؟۔।"
AFFIXES = ",:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
SENTENCE_ENDS = "!.?։؟۔।॥。｡！．？‼‽⁇⁈⁉⸮"
HYPHENS = "-–—~"
_CONTROLS = [*range(9), 11, 12, *range(13, 32), *range(127, 160)]


def _where(holds: Callable[[str], bool]) -> list[int]:
    return [code for code in range(sys.maxunicode + 1) if holds(chr(code))]


def _codes(characters: str) -> list[int]:
    return [ord(character) for character in characters]


@functools.lru_cache(maxsize=1)
def flags() -> NDArray[np.uint16]:
    """Return uint16 (0x110000,): the flags of every code point. Takes about half a second, once a process."""
    category = [unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)]
    letters = _where(str.isalpha)
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
        [code for code, name in enumerate(category) if name == "So"],
        _codes(SENTENCE_ENDS),
        [code for code, name in enumerate(category) if name.startswith("P")],
        _codes(SENTENCE_ENDS),
        _codes(HYPHENS),
    ]
    table = np.zeros(sys.maxunicode + 1, np.uint16)
    for bit, codes in enumerate(rows):
        table[codes] |= np.uint16(1 << bit)
    table.flags.writeable = False
    return table
