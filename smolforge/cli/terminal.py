"""Text that comes from a model or a file, on its way to a person's terminal.

A terminal obeys control characters: it can be made to hide text, to answer back, or to write the clipboard. What a
model writes is not trusted with that. Into a pipe or a file every character goes as it is.
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

DIM, PLAIN = "\x1b[2m", "\x1b[0m"
# C0 (but tab and line feed), DEL, C1, and the marks that reorder text (Unicode TR 9: embeddings, overrides, isolates)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return ``text`` with each control character shown as a picture of it (``\\x1b`` as ␛), so that none acts."""
    return _CONTROL.sub(_picture, text)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0x0D:
        return ""
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "�"


class Screen:
    """A stream for a model's words: on a terminal they are made harmless, and dimmed where asked."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.live = self._stream.isatty()

    def write(self, text: str, *, dim: bool = False) -> None:
        """Write and flush."""
        if self.live:
            text = printable(text)
            text = f"{DIM}{text}{PLAIN}" if dim else text
        self._stream.write(text)
        self._stream.flush()
