"""Text that comes from a model or a file, on its way to a person's terminal.

A terminal obeys control characters: it can be made to hide text, to answer back, or to write the clipboard. What a
model writes is not trusted with that. Into a pipe or a file every character goes as it is.
"""

from __future__ import annotations

import sys
from typing import TextIO

from smolforge.printable import printable

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


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
