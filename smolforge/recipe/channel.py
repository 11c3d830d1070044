"""The line from a stage's process to the runner: one JSON object a line, over a pipe.

The stage's side is a Progress that writes; the runner's side reads with a timeout. Kinds of message: start, update,
note, error (something a person can fix) and done (counts, metrics, library versions).
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator
from typing import Any

UPDATES_PER_SECOND = 5.0


class ChannelProgress:
    """A Progress whose messages go into the pipe ``descriptor``; updates are thinned to a few a second."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._last = 0.0

    def send(self, **message: Any) -> None:
        """Write one message; it carries the CPU seconds this process has used so far."""
        message["cpu"] = sum(os.times()[:4])
        data = (json.dumps(message) + "\n").encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def start(self, total: int | None, unit: str) -> None:
        """See Progress."""
        self.send(kind="start", total=total, unit=unit)

    def update(self, done: int, **values: float | str) -> None:
        """See Progress."""
        now = time.monotonic()
        if now - self._last >= 1 / UPDATES_PER_SECOND:
            self._last = now
            self.send(kind="update", done=done, values=values)

    def note(self, text: str) -> None:
        """See Progress."""
        self.send(kind="note", text=text)


def messages(descriptor: int, tick: float) -> Iterator[dict[str, Any] | None]:
    """Yield messages until the writer closes; None whenever ``tick`` seconds pass without one."""
    buffer = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], tick)
        if not ready:
            yield None
            continue
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            yield json.loads(line)
