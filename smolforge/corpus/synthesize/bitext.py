"""How well two texts say the same in two languages: length, numbers, names that stay as they are, chrF of the way back.

Input: a text and its translation. Output: shares from 0 to 1. chrF is Popović's (2015, "chrF: character n-gram
F-score for automatic MT evaluation"): n-grams of 1 to 6 characters without spaces, recall weighted with beta 2.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from smolforge.corpus.synthesize.format import language_table

CHRF_ORDER, CHRF_BETA = 6, 2.0
_NUMBER = re.compile(r"\d+(?:[.,٫٬'’\u00a0\u202f ]\d{3})*(?:[.,٫]\d+)?")
_NAME = re.compile(
    r"https?://[^\s<>()]+|[\w.+-]+@[\w-]+\.[\w.]+|`[^`\n]+`"
    r"|(?<![\w/])[A-Za-z]+(?:[_./-]?[A-Z0-9]+[A-Za-z0-9]*)+(?!\w)"
)


def length_ratio(text: str, translation: str, language: str, target: str) -> float:
    """Return the translation's length as a multiple of what is usual for the two languages."""
    table = language_table()
    usual = float(table[target]["length"]) / float(table[language]["length"])
    return len(translation) / max(1.0, len(text) * usual)


def numbers(text: str) -> Counter[str]:
    """Return the numbers of two digits and more, as digits alone: how thousands and decimals are divided differs."""
    plain = "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)
    found = ("".join(filter(str.isdigit, number)) for number in _NUMBER.findall(plain))
    return Counter(digits for digits in found if len(digits) > 1)


def names(text: str) -> Counter[str]:
    """Return what a translation leaves as it is: addresses, code, identifiers, abbreviations (``HTTP``)."""
    return Counter(name.strip(".,") for name in _NAME.findall(text))


def preserved(before: Counter[str], after: Counter[str]) -> float:
    """Return the share found on both sides, of the side that has more; 1 where neither has any."""
    larger = max(before.total(), after.total())
    return (before & after).total() / larger if larger else 1.0


def chrf(candidate: str, reference: str) -> float:
    """Return chrF (0 to 1): the F-score, averaged over the orders that both texts are long enough for."""
    a, b = ("".join(text.split()) for text in (candidate, reference))
    precision = recall = orders = 0.0
    for n in range(1, CHRF_ORDER + 1):
        mine, theirs = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (a, b))
        if not mine or not theirs:
            continue
        shared = (mine & theirs).total()
        precision, recall, orders = precision + shared / mine.total(), recall + shared / theirs.total(), orders + 1
    if not orders or precision + recall == 0:
        return 0.0
    precision, recall, square = precision / orders, recall / orders, CHRF_BETA**2
    return (1 + square) * precision * recall / (square * precision + recall)
