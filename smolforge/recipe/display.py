"""What a person sees while a recipe runs, all of it on standard error.

Input is the runner's calls (stage begins, message from the stage, stage ends); output is a live line on a terminal, one
plain line every few seconds elsewhere, or one JSON object per event.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_SECONDS = 5.0


class Display(Protocol):
    """Draws a run. ``k`` of ``n`` counts the stages from 1."""

    def begin(self, stage: str, k: int, n: int, id: str) -> None:
        """A stage starts."""

    def message(self, message: dict[str, Any]) -> None:
        """The stage said something (see channel.py)."""

    def end(self, how: str, seconds: float) -> None:
        """The stage is over: "done", "cached" or "failed"."""

    def close(self) -> None:
        """The run is over, for whatever reason."""


class PlainDisplay:
    """One line for each beginning and end, and one every few seconds between."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._work, self._head, self._last = stream, Work(), "", 0.0

    def begin(self, stage: str, k: int, n: int, id: str) -> None:
        """See Display."""
        self._head, self._work, self._last = f"[{k}/{n}] {stage}", Work(), time.monotonic()

    def message(self, message: dict[str, Any]) -> None:
        """See Display."""
        self._work.take(message)
        if message["kind"] == "note":
            self._print(f"{self._head}: {message['text']}")
        elif time.monotonic() - self._last >= PLAIN_SECONDS and message["kind"] == "update":
            self._print(f"{self._head}: {self._work.line()}")

    def end(self, how: str, seconds: float) -> None:
        """See Display."""
        self._print(f"{self._head}: {_ending(how, seconds)}")

    def close(self) -> None:
        """See Display."""

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        print(text, file=self._stream, flush=True)


class JsonDisplay:
    """One JSON object a line: the messages as they come, with the stage they come from."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._stage = stream, ""

    def begin(self, stage: str, k: int, n: int, id: str) -> None:
        """See Display."""
        self._stage = stage
        self._print({"kind": "begin", "k": k, "n": n, "id": id})

    def message(self, message: dict[str, Any]) -> None:
        """See Display."""
        self._print(message)

    def end(self, how: str, seconds: float) -> None:
        """See Display."""
        self._print({"kind": "end", "how": how, "seconds": round(seconds, 3)})

    def close(self) -> None:
        """See Display."""

    def _print(self, event: dict[str, Any]) -> None:
        print(json.dumps({"stage": self._stage, **event}, ensure_ascii=False), file=self._stream, flush=True)


class TerminalDisplay:
    """A bar for the running stage, redrawn in place; finished stages stay above it, one line each."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            TextColumn("{task.fields[line]}", markup=False, style="dim"),
        )
        self._bar: Progress = Progress(*columns, console=Console(file=stream), transient=True)
        self._task: TaskID | None = None
        self._work, self._head = Work(), ""

    def begin(self, stage: str, k: int, n: int, id: str) -> None:
        """See Display."""
        self._work, self._head = Work(), f"[{k}/{n}] {stage}"
        self._task = self._bar.add_task(self._head, total=None, line="")
        self._bar.start()

    def message(self, message: dict[str, Any]) -> None:
        """See Display."""
        self._work.take(message)
        if message["kind"] == "note":
            self._say(f"  {self._head}: {message['text']}")
        if self._task is not None:
            self._bar.update(self._task, total=self._work.total, completed=self._work.done, line=self._work.line())

    def end(self, how: str, seconds: float) -> None:
        """See Display."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        mark = {"done": "✓", "cached": "·", "failed": "✗"}[how]
        self._say(f"{mark} {self._head}: {_ending(how, seconds)}")

    def close(self) -> None:
        """See Display."""
        self._bar.stop()

    def _say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)


class Work:
    """How far the current piece of work is, and when it will be done."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0
        self._unit, self._values = "", dict[str, float | str]()
        self._began, self._first = time.monotonic(), 0

    def take(self, message: dict[str, Any]) -> None:
        """Learn from a start or update message."""
        if message["kind"] == "start":
            self.total, self._unit, self._values = message["total"], message["unit"], {}
            self.done, self._first, self._began = 0, -1, time.monotonic()
        elif message["kind"] == "update":
            self.done, self._values = message["done"], message["values"]
            if self._first < 0:  # a continued stage starts in the middle: time left counts from there
                self._first, self._began = self.done, time.monotonic()

    def seconds_left(self) -> float | None:
        """Return an estimate from the pace so far; None while there is none."""
        fresh = self.done - self._first
        if not self.total or self._first < 0 or fresh <= 0:
            return None
        return (self.total - self.done) * (time.monotonic() - self._began) / fresh

    def line(self) -> str:
        """Return e.g. ``120/800 steps, loss 3.21, 11.2k tokens/s, 1:40 left``."""
        total = f"/{self.total:,}" if self.total else ""
        parts = [f"{self.done:,}{total} {self._unit}".strip()] if self._unit or self.done else []
        parts += [shown(name, value) for name, value in self._values.items()]
        left = self.seconds_left()
        return ", ".join(parts + ([f"{clock(left)} left"] if left is not None else []))


def shown(name: str, value: float | str) -> str:
    """Return a value as people write it: ``loss 3.21``, ``11.2k tokens/s``."""
    if isinstance(value, str):
        return f"{name} {value}"
    name = name.replace("_per_second", "/s")
    if name.endswith("/s"):
        return f"{value / 1e3:.1f}k {name}" if value >= 1e4 else f"{value:.0f} {name}"
    return f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.4g}"


def clock(seconds: float) -> str:
    """Return ``1:05`` or ``2:03:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _ending(how: str, seconds: float) -> str:
    return "finished earlier, kept" if how == "cached" else f"{how} in {clock(seconds)}"


def choose_display(as_json: bool, stream: TextIO | None = None) -> Display:
    """Return the display for ``stream`` (standard error): JSON if asked, live on a terminal, else plain lines."""
    stream = stream or sys.stderr
    if as_json:
        return JsonDisplay(stream)
    return TerminalDisplay(stream) if stream.isatty() else PlainDisplay(stream)
