"""A long text cut into overlapping sections that each fit a number of tokens.

Input: a text and the codec of the model that will read it. Output: sections with their places in the text. A section
ends at a paragraph's end if one lies in its second half, else at a sentence's, else at a word's; the next one begins a
few whole sentences before that, so that nothing stands cut in two everywhere.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from smolforge.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE = re.compile(r"""[。！？]+[」』”’）]*\s*|[.!?…؟।]+["'”’»)\]]*\s+|\n\s*""")
_WORD = re.compile(r"\s+")
_ENDS = (_PARAGRAPH, _SENTENCE, _WORD)  # best first


class HasTokenizer(Protocol):
    """A codec, as far as cutting needs one."""

    tokenizer: Tokenizer


@dataclass(frozen=True)
class Section:
    """A part of a text: ``text`` is ``whole[start:end]``, offsets in characters."""

    text: str
    start: int
    end: int


def cut(text: str, codec: HasTokenizer, most_tokens: int, overlap_tokens: int = 0) -> list[Section]:
    """Return sections that cover ``text`` in order, blank ones left out, each of at most ``most_tokens`` tokens alone.

    A section begins at most about ``overlap_tokens`` before the end of the one in front of it. The same text gives the
    same sections. ConfigError for an overlap above a third of a section; DataError for text that cannot be encoded, or
    where one character alone takes more tokens than a section may.
    """
    if not 0 <= 3 * overlap_tokens <= most_tokens or most_tokens < 1:
        raise ConfigError(f"sections of {most_tokens} tokens, overlap {overlap_tokens}: at most a third may overlap")
    offsets = _offsets(text, codec)
    begins, ends = [begin for begin, _ in offsets], [end for _, end in offsets]
    sections, start = list[Section](), 0
    while start < len(text):
        first = bisect_left(begins, start)
        end = _end(text, codec, start, ends[first : first + most_tokens], most_tokens, last=len(text))
        if not text[start:end].isspace():
            sections.append(Section(text[start:end], start, end))
        again = begins[bisect_left(begins, end) - overlap_tokens] if end < len(text) and overlap_tokens else end
        start = _begin(text, max(start + 1, again), end)
    return sections


def _end(text: str, codec: HasTokenizer, start: int, ends: Sequence[int], most: int, last: int) -> int:
    """Return where the section from ``start`` ends; ``ends``: where its tokens do, in the whole text."""
    room = len(ends)
    while room > 0:
        limit = last if room == len(ends) < most else ends[room - 1]
        end = limit if limit == last else _break(text, ends[(room - 1) // 2], limit)
        excess = len(_offsets(text[start:end], codec)) - most
        if excess <= 0:
            return end
        room -= excess
    raise DataError(f"section at character {start}: no character of it fits {most} tokens; give sections more tokens")


def _break(text: str, least: int, limit: int) -> int:
    """Return the best place to end between ``least`` (excluded) and ``limit``; of equal ones the last."""
    for pattern in _ENDS:
        found = [match.end() for match in pattern.finditer(text, least, limit)]
        if found:
            return found[-1]
    return limit


def _begin(text: str, earliest: int, end: int) -> int:
    """Return the first beginning of a sentence, else of a word, from ``earliest`` on; ``end`` or later is no choice."""
    for pattern in (_SENTENCE, _WORD):
        found = pattern.search(text, earliest, end)
        if found is not None and found.end() < end:
            return found.end()
    return earliest


def _offsets(text: str, codec: HasTokenizer) -> list[tuple[int, int]]:
    """Return (begin, end) in characters of every token."""
    try:
        return list(codec.tokenizer.encode(text, add_special_tokens=False).offsets)
    except (TypeError, UnicodeEncodeError):
        raise DataError("text with a lone surrogate cannot be encoded") from None
