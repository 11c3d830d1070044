"""What an asker holds while the scheduler works: events as they come, the result, and the way to stop.

Input: events and an outcome from the scheduler's thread. Output: a plain iterator, an ``async for`` iterator, or one
result, in any thread. Leaving an iteration early cancels the work and frees its memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from smolforge.engine.work import Work
from smolforge.generator import Event

if TYPE_CHECKING:
    import asyncio

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timings:
    """Seconds one piece of work took: in the queue, until its prompt was read, and generating after that."""

    waited: float
    prompt: float
    generation: float


class Job(Generic[Result]):
    """One piece of work in the scheduler's hands.

    Iterate over it once, plainly or with ``async for``, or ask for ``result()``. What went wrong is raised there.
    """

    def __init__(self, work: Work[Result], number: int, wake: Callable[[], None]) -> None:
        self.work, self.number = work, number
        self.cancelled = False
        self.submitted = time.monotonic()
        self.deadline = None if work.timeout is None else self.submitted + work.timeout
        self.started = self.answered = self.ended = 0.0  # monotonic seconds; 0: not yet
        self._wake = wake
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._deliver: Callable[[Event | None], object] = self._events.put
        self._handover = threading.Lock()
        self._done = threading.Event()
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._done.is_set()

    @property
    def timings(self) -> Timings:
        """How long each part took; parts that were not reached count nothing."""
        end = self.ended or time.monotonic()
        started, answered = self.started or end, self.answered or end
        return Timings(started - self.submitted, answered - started, end - answered)

    def stopped(self, now: float) -> bool:
        """Whether it was cancelled or is late (``now``: monotonic seconds)."""
        return self.cancelled or (self.deadline is not None and now >= self.deadline)

    def cancel(self) -> None:
        """Stop at the next step and free the memory; harmless when the work has ended."""
        if not self.done:
            self.cancelled = True
            self._wake()

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the end and return what was made; raises what went wrong, TimeoutError after ``timeout`` seconds."""
        if not self._done.wait(timeout):
            raise TimeoutError(f"not finished after {timeout} seconds")
        self._raise()
        return self.work.result()

    def __iter__(self) -> Iterator[Event]:
        try:
            while (event := self._events.get()) is not None:
                yield event
        finally:
            self.cancel()
        self._raise()

    async def __aiter__(self) -> AsyncIterator[Event]:
        import asyncio  # a twentieth of a second that a command has no use for

        events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._redirect(events.put_nowait, asyncio.get_running_loop())
        try:
            while (event := await events.get()) is not None:
                yield event
        finally:
            self.cancel()
        self._raise()

    def _redirect(self, put: Callable[[Event | None], None], loop: asyncio.AbstractEventLoop) -> None:
        """Send events to an event loop from now on, those that are already here first."""
        with self._handover:
            while not self._events.empty():
                put(self._events.get())
            self._deliver = lambda event: loop.call_soon_threadsafe(put, event)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def push(self, events: list[Event]) -> None:
        """Hand over events (called by the scheduler)."""
        with self._handover:
            for event in events:
                self._deliver(event)

    def end(self, error: BaseException | None = None) -> None:
        """Close the job (called by the scheduler, once)."""
        self._error, self.ended = error, time.monotonic()
        self._done.set()
        try:
            with self._handover:
                self._deliver(None)
        except RuntimeError:  # the reader's event loop is closed: nobody is left to tell
            pass

    def after_fork(self, error: BaseException) -> None:
        """In a forked child: end what had not ended, since nobody works on it here. Locks may have been held."""
        if not self.done:
            self._handover, self._done = threading.Lock(), threading.Event()
            self._deliver = self._events.put
            self.end(error)
