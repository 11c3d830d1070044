"""Words and lines: the one splitter that rules, fingerprints and shingles share.

Input: raw text and a language code. Output: lists of strings; floors in ``rules/`` are tied to this splitter.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

# A word is a run of letters and digits; an apostrophe or hyphen inside joins. A Han character is a word.
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
ARABIC = re.compile(r"[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff]")
CYRILLIC = re.compile(r"[\u0400-\u052f]")
ELIDING = ("fr", "it")
_WORD = re.compile(rf"[{HAN}]|[^\W_{HAN}]+(?:['’\-][^\W_{HAN}]+)*")
_ELISION = re.compile(
    r"^((?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|un|dell|all|nell|sull|dall|quell)['’])(?=\w)", re.IGNORECASE
)
ARABIC_MARKS = re.compile(r"[\u064b-\u065f\u0670\u0640]")
DIACRITICS = re.compile(r"[\u0300-\u036f\u064b-\u065f\u0670\u06d6-\u06ed]")
_NO_TEXT = re.compile("[\udc80-\udcff]")  # what os.fsdecode makes of a byte that is no UTF-8
_DIGIT = re.compile(r"\d")
_UNBROKEN = re.compile(r"\S{1000}")
_PIECES = re.compile(r"\S{1,1000}\s*|\s+")


def words(text: str, language: str) -> list[str]:
    """Split text into words. French and Italian elided articles (``l'``, ``dell'``) are words of their own;
    Chinese is one word a character. Arabic short vowels and tatweel, no word characters, are removed first."""
    if language == "ar":
        text = ARABIC_MARKS.sub("", text)
    found: list[str] = _WORD.findall(text)
    if language not in ELIDING:
        return found
    split: list[str] = []
    for word in found:
        match = _ELISION.match(word)
        split.extend((match[1], word[match.end() :]) if match else (word,))
    return split


def lines(text: str) -> list[str]:
    """Return the non-empty lines, stripped."""
    return [line for line in (raw.strip() for raw in text.splitlines()) if line]


def normalize(form: Literal["NFC", "NFD"], text: str) -> str:
    """Return a Unicode normal form in time that grows with the text alone.

    Sorting a run of marks takes the square of its length, so a text with 1,000 characters between two blanks is
    normalized in pieces of at most so many; marks across such a cut are not joined.
    """
    if _UNBROKEN.search(text) is None:
        return unicodedata.normalize(form, text)
    return "".join(unicodedata.normalize(form, piece) for piece in _PIECES.findall(text))


def fold(text: str) -> str:
    """Return NFC text with every run of white space as one blank: the form that exact duplicates share."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def nomination_words(text: str, language: str) -> list[str]:
    """Words for MinHash: lower case, digits as 0, no punctuation, no diacritics (FineWeb's normalisation)."""
    text = _DIGIT.sub("0", text.lower())
    if not text.isascii():
        text = normalize("NFC", DIACRITICS.sub("", normalize("NFD", text)))
    return words(text, language)


def printable(text: str) -> str:
    """Return text that UTF-8 can hold and a table shows: bytes of a file's name that are no text as ``\\xff``, without
    other lone surrogates and NULs."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        named = _NO_TEXT.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)
        return named.encode("utf-8", "ignore").decode()


def split_text(text: str, limit: int) -> list[str]:
    """Cut text into pieces of at most ``limit`` characters, at a blank line, else a line end, else a space."""
    pieces: list[str] = []
    while len(text) > limit:
        cut = -1
        for mark in ("\n\n", "\n", " "):
            cut = text.rfind(mark, limit // 2, limit)
            if cut > 0:
                break
        cut = cut if cut > 0 else limit
        pieces.append(text[:cut])
        text = text[cut:].lstrip("\n") if cut < limit else text[cut:]
    return [piece for piece in [*pieces, text] if piece.strip()]
