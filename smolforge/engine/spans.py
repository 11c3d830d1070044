"""Passages of the prompt that fit what is being written inside a JSON string.

Input: the prompt as bytes, and the string's content so far. Output: how the prompt goes on after the same words, and
where the passage ends. Extraction copies: a name's first letters usually decide the rest.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ANCHOR = 48  # bytes of the string's end that are looked for, at most
_AHEAD = 96  # bytes of the prompt that are taken as continuation, at most
_BORDER = re.compile(rb"""[,;:.!?)\]}|*]*(?:["\\\x00-\x1f]|(?<=[,;:.!?)\]}|*])(?:\s|$)|\s+[(\[{|])|$""")


class StringField:
    """Follows JSON text piece by piece; ``value`` are the bytes since the quote that opened the present string, None
    outside of strings. Escapes are kept as they are written."""

    def __init__(self, other: StringField | None = None) -> None:
        self.value: bytes | None = other.value if other is not None else None
        self._escaped: bool = other._escaped if other is not None else False
        self._before: bytes = other._before if other is not None else b""  # the newest byte outside strings
        self._open: bytes = other._open if other is not None else b""  # brackets that are not closed

    @property
    def begins(self) -> bool:
        """Whether the next byte is the first of a value: behind a colon, or in a list, its opening quote left out."""
        if self.value:
            return False
        return self._before == b":" or (self._open.endswith(b"[") and self._before in (b"[", b","))

    def push(self, piece: bytes) -> None:
        """Take the bytes of one token."""
        if self.value is not None and not self._escaped and b'"' not in piece and b"\\" not in piece:
            self.value += piece
            return
        for i in range(len(piece)):
            self._step(piece[i : i + 1])

    def _step(self, byte: bytes) -> None:
        if self.value is None:
            self._outside(byte)
        elif byte == b'"' and not self._escaped:
            self.value, self._before = None, byte
        else:
            self._escaped = byte == b"\\" and not self._escaped
            self.value += byte

    def _outside(self, byte: bytes) -> None:
        if byte == b'"':
            self.value = b""
        elif byte in (b"{", b"["):
            self._open += byte
        elif byte in (b"}", b"]"):
            self._open = self._open[:-1]
        if byte not in b'" \n':
            self._before = byte


class Passage(NamedTuple):
    """How a string may go on: the ``words`` up to where the passage ``ends``, or up to as many as are looked at.
    ``by_end``: only the string's end was found, not the string."""

    words: bytes
    ends: bool
    by_end: bool = False


class PromptSpans:
    """Finds a string's beginning again in the prompt. Of several places, the first behind the last one used is taken,
    for answers mostly follow the order of their source."""

    def __init__(self, prompt: bytes, start: int = 0) -> None:
        """Search ``prompt`` from ``start`` on first (where the text begins that the answer is about)."""
        self._prompt, self._used = prompt, start

    def following(self, value: bytes, anchors: tuple[bytes, ...] = ()) -> Passage | None:
        """Return what stands behind ``value``, else behind the first of ``anchors`` (its ends) that occurs; None where
        nothing occurs."""
        for place, anchor in enumerate((value[-_ANCHOR:], *anchors)):
            at = self._find(anchor, whole=len(anchor) == len(value)) if anchor else -1
            if at >= 0:
                self._used, begin = at, at + len(anchor)
                ahead = self._prompt[begin : begin + _AHEAD]
                border = _BORDER.search(ahead)
                end = border.start() if border is not None else len(ahead)
                ends = end < len(ahead) or begin + end == len(self._prompt)
                return Passage(ahead[:end], ends, by_end=place > 0)
        return None

    def _find(self, anchor: bytes, whole: bool) -> int:
        """Return where ``anchor`` stands, at the start of a word if it is a ``whole`` value; −1 if nowhere."""
        for start, stop in ((self._used, len(self._prompt)), (0, self._used + len(anchor))):
            at = self._prompt.find(anchor, start, stop)
            while at > 0 and whole and self._prompt[at - 1 : at].isalnum():
                at = self._prompt.find(anchor, at + 1, stop)
            if at >= 0:
                return at
        return -1
