"""Who may come in: a queue with a limit, served by priority and then by age, and a refusal that says when to come back.

Input: jobs from any thread. Output: the next job for the scheduler, or ``Overloaded`` for the asker.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Any

from smolforge.engine.job import Job
from smolforge.errors import SmolforgeError


class Overloaded(SmolforgeError):
    """The queue is full. ``retry_after``: seconds after which there is likely to be room."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(f"{waiting} requests are waiting already; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Limits:
    """What the scheduler lets in and how it cuts its steps.

    ``running``: sequences at once. ``waiting``: jobs in the queue. ``chunk``: most prompt tokens in one step.
    ``busy_seconds``: how long a step may take while answers are being written, ``idle_seconds`` while none is.
    ``looked_at``: most output rows of one step (a row of logits takes 4 bytes × vocabulary). ``prefix_bytes``: what the
    prefix store may hold, and at most half of all pages.
    """

    running: int = 32
    waiting: int = 256
    chunk: int = 512
    busy_seconds: float = 0.06
    idle_seconds: float = 0.5
    looked_at: int = 128
    prefix_bytes: int = 512 << 20


class WaitingLine:
    """Jobs that have not started, the most urgent first. Not thread-safe: the scheduler holds its lock around it."""

    def __init__(self, limit: int, running: int) -> None:
        self.limit, self._running = limit, running
        self._jobs: list[Job[Any]] = []
        self._seconds = 1.0  # how long a job has taken lately

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def full(self) -> bool:
        """Whether one more would be refused. Cancelled jobs, which leave at the next step, take no place."""
        return len(self._jobs) >= self.limit and sum(not job.cancelled for job in self._jobs) >= self.limit

    def refusal(self) -> Overloaded:
        """Return the error for one job too many."""
        return Overloaded(len(self._jobs), max(1, math.ceil(self._seconds * len(self._jobs) / self._running)))

    def add(self, job: Job[Any]) -> None:
        """Queue a job behind those of its priority that were submitted before it."""
        bisect.insort(self._jobs, job, key=_urgency)

    def first(self) -> Job[Any]:
        """Return the next job without taking it."""
        return self._jobs[0]

    def pop(self) -> Job[Any]:
        """Take the next job."""
        return self._jobs.pop(0)

    def take_stopped(self, now: float) -> list[Job[Any]]:
        """Take the jobs that were cancelled or are late (``now``: monotonic seconds)."""
        stopped = [job for job in self._jobs if job.stopped(now)]
        self._jobs = [job for job in self._jobs if job not in stopped]
        return stopped

    def clear(self) -> list[Job[Any]]:
        """Take all jobs."""
        jobs, self._jobs = self._jobs, []
        return jobs

    def learn(self, seconds: float) -> None:
        """Learn how long a job took from start to end."""
        self._seconds += 0.2 * (seconds - self._seconds)


def _urgency(job: Job[Any]) -> tuple[int, int]:
    return -job.work.priority, job.number
