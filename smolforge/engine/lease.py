"""A scheduler in the hands of one asker: all that was submitted through it can be ended together, and has one deadline.

Input: work, as for the scheduler. Output: its jobs. A server gives every HTTP request a lease, so that whatever a task
had in the queue ends with the client that wanted it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from smolforge.engine.admission import Overloaded
from smolforge.engine.job import Job
from smolforge.engine.runner import Runner
from smolforge.engine.scheduler import Scheduler
from smolforge.engine.work import Stopped, Work
from smolforge.errors import SmolforgeError

Result = TypeVar("Result")


class Lease:
    """May be used by any thread, for at most ``seconds``."""

    def __init__(self, scheduler: Scheduler, seconds: float) -> None:
        self._scheduler = scheduler
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._jobs: list[Job[Any]] = []
        self._ended = False

    @property
    def runner(self) -> Runner:
        """The scheduler's runner."""
        return self._scheduler.runner

    @property
    def context(self) -> int:
        """Most positions of one sequence."""
        return self._scheduler.context

    @property
    def waiting(self) -> int:
        """Jobs in the queue, everybody's."""
        return self._scheduler.waiting

    @property
    def late(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self._deadline

    def between_steps(self, function: Callable[[], Result]) -> Result:
        """Run a function between two steps."""
        return self._scheduler.between_steps(function)

    def submit(self, work: Work[Result], *, block: bool = False) -> Job[Result]:
        """Queue work; as the scheduler does, but a full queue is waited for (``block``) only while work of ours runs.

        ``Overloaded`` otherwise; ``Stopped`` when the lease has ended.
        """
        while True:
            try:
                return self._submit(work)
            except Overloaded:
                ours = next((job for job in list(self._jobs) if not job.done), None)
                if not block or ours is None:
                    raise
                with suppress(SmolforgeError, TimeoutError):  # whoever asked for it is told
                    ours.result(max(0.0, self._deadline - time.monotonic()))

    def end(self) -> None:
        """Cancel what runs and refuse what comes."""
        with self._lock:
            self._ended = True
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.cancel()

    def _submit(self, work: Work[Result]) -> Job[Result]:
        left = self._deadline - time.monotonic()
        with self._lock:
            if self._ended or left <= 0:
                raise Stopped("cancelled" if self._ended else "timeout")
            work.timeout = left if work.timeout is None else min(left, work.timeout)
            job = self._scheduler.submit(work)
            self._jobs = [ours for ours in self._jobs if not ours.done] + [job]
        return job
