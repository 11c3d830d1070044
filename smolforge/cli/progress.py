"""How far one long command is, on standard error: a line redrawn in place on a terminal, else a line now and then.

Input: counts as they grow. Output: e.g. ``pull owner/repo: 120/800 MB, 11 MB/s, 1:40 left``. Nothing is shown before
the first count, so a refusal stays one line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

CLEAR_LINE = "\r\x1b[K"
PLAIN_SECONDS, LIVE_SECONDS = 5.0, 0.1


class Progress:
    """Shows one piece of work. ``unit`` names what is counted; ``scale`` divides counts for showing (1e6 for MB)."""

    def __init__(self, head: str, unit: str, scale: float = 1.0) -> None:
        from smolforge.recipe.display import Work

        self._head, self._unit, self._scale = head, unit, scale
        self._work = Work()
        self._live = sys.stderr.isatty()
        self._began = self._shown = time.monotonic()
        self._first, self._lines = 0.0, 0

    def update(self, done: float, total: float, note: str = "") -> None:
        """Show that ``done`` of ``total`` is there; ``note`` says what is at work."""
        count = int(done / self._scale)
        if self._work.total is None:
            self._work.take({"kind": "start", "total": max(1, int(total / self._scale)), "unit": self._unit})
            self._began, self._first = time.monotonic(), done / self._scale
        rate = (done / self._scale - self._first) / max(time.monotonic() - self._began, 1e-9)
        self._work.take({"kind": "update", "done": count, "values": {f"{self._unit}_per_second": rate}})
        if time.monotonic() - self._shown >= (LIVE_SECONDS if self._live else PLAIN_SECONDS):
            self._shown = time.monotonic()
            self._show(f"{self._head}: {self._work.line()}{f', {note}' if note else ''}")

    def finish(self) -> None:
        """Say how long it took, if it was long enough to be shown."""
        from smolforge.recipe.display import clock

        if self._lines:
            line = f"{self._head}: {self._work.total:,} {self._unit} in {clock(time.monotonic() - self._began)}"
            print(f"{CLEAR_LINE if self._live else ''}{line}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the terminal's line to an error."""
        if self._live and self._lines:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)

    def _show(self, line: str) -> None:
        self._lines += 1
        if self._live:
            from shutil import get_terminal_size

            width = get_terminal_size().columns - 1
            print(f"{CLEAR_LINE}{line[:width]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(head: str, unit: str, scale: float = 1.0) -> Iterator[Progress]:
    """Show a piece of work until the block ends."""
    shown = Progress(head, unit, scale)
    try:
        yield shown
    except BaseException:
        shown.clear()
        raise
    shown.finish()
