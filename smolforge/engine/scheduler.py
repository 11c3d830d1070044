"""Many requests on one model, from any thread: a queue with a limit, and one thread that takes step after step.

Each step feeds the newest tokens of all running sequences and a piece of waiting prompts. A job starts when its prompt
fits into free pages and grows page by page; where pages run out, the youngest job of the lowest priority gives its own
up and is computed again later, to the same answer. Overload waits or is refused; memory stays within its budget.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from smolforge.engine.admission import Limits, WaitingLine
from smolforge.engine.job import Job
from smolforge.engine.kv_pages import PageMemory
from smolforge.engine.runner import Runner, finish
from smolforge.engine.step import ForwardModel
from smolforge.engine.work import Work
from smolforge.errors import DataError, SmolforgeError

Result = TypeVar("Result")
TRIM_AFTER = 2.0  # idle seconds after which free pages go back to the system


class Closed(SmolforgeError):
    """The engine was closed before this ended."""

    def __init__(self) -> None:
        super().__init__("the engine is closed")


class Scheduler:
    """Runs work on ``model`` in the pages of ``memory``; ``context``: most positions of one sequence."""

    def __init__(self, model: ForwardModel, memory: PageMemory, context: int, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.runner = Runner(model, memory, context, limits)
        self._line = WaitingLine(limits.waiting, limits.running)
        self._changed = threading.Condition()  # guards the line, the calls and the flag
        self._calls: list[Callable[[], None]] = []
        self._jobs: weakref.WeakSet[Job[Any]] = weakref.WeakSet()  # all that someone may still ask for
        self._submitted = 0
        self._closed = False
        self._thread = threading.Thread(target=self._drive, name="smolforge-scheduler", daemon=True)
        self._thread.start()
        _LIVE.add(self)

    @property
    def context(self) -> int:
        """Most positions of one sequence, prompt and answer together."""
        return self.runner.context

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._line)

    def submit(self, work: Work[Result], *, block: bool = False) -> Job[Result]:
        """Queue work. DataError where it can never fit; ``Overloaded`` when the queue is full (or ``block``)."""
        if not len(work.prompt):
            raise DataError("the prompt is empty; give at least one token")
        if work.most > self.context:
            raise DataError(f"prompt and answer take {work.most} positions, there are {self.context}")
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not (block and self._line.full))
            if self._closed:
                raise Closed
            if self._line.full:
                raise self._line.refusal()
            job = Job(work, self._submitted, self._wake)
            self._submitted += 1
            self._jobs.add(job)
            self._line.add(job)
            self._changed.notify_all()
        return job

    def between_steps(self, function: Callable[[], Result]) -> Result:
        """Run a function on the scheduler's thread between two steps, when pages stand still; return its result."""
        outcome: list[Result] = []
        problem: list[BaseException] = []
        done = threading.Event()

        def call() -> None:
            try:
                outcome.append(function())
            except BaseException as error:
                problem.append(error)
            done.set()

        with self._changed:
            if self._closed:
                raise Closed
            self._calls.append(call)
            self._changed.notify_all()
        done.wait()
        if problem:
            raise problem[0]
        return outcome[0]

    def close(self) -> None:
        """Stop after the current step; jobs that have not ended raise ``Closed``. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def after_fork(self) -> None:
        """Close the copy that a forked child holds: its thread, and whoever held its lock, stayed with the parent."""
        self._changed = threading.Condition()
        self._closed = True
        self._calls.clear()
        for job in list(self._jobs):
            job.after_fork(Closed())

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _drive(self) -> None:
        problem: BaseException = Closed()
        try:
            while self._rest():
                self._end_stopped()
                self._admit()
                if self.runner.running:
                    self._step()
        except BaseException as error:  # a defect of ours: nobody may wait for ever
            problem = error
            raise
        finally:
            self._shut(problem)

    def _shut(self, problem: BaseException) -> None:
        with self._changed:
            self._closed = True
            self._line.clear()
            jobs = [job for job in self._jobs if not job.done]
            calls, self._calls = self._calls, []
            self._changed.notify_all()
        for job in jobs:
            job.end(problem)
        for call in calls:
            call()

    def _rest(self) -> bool:
        """Sleep until there is something to do, and do what was asked between steps; False when closed."""
        with self._changed:
            if not self.runner.running and not self._changed.wait_for(self._busy, TRIM_AFTER):
                self.runner.pool.trim()
                self._changed.wait_for(self._busy)
            calls, self._calls = self._calls, []
            closed = self._closed
        for call in calls:
            call()
        return not closed

    def _busy(self) -> bool:
        return bool(len(self._line) or self._calls or self._closed)

    def _end_stopped(self) -> None:
        """End what was cancelled or is late, running or queued."""
        now = time.monotonic()
        self.runner.end_stopped(now)
        if not len(self._line):
            return
        with self._changed:
            ended = self._line.take_stopped(now)
            self._changed.notify_all()
        for job in ended:
            self.runner.forget(job)
            finish(job)

    def _admit(self) -> None:
        """Start queued jobs in their order while there are places and pages."""
        runner = self.runner
        while len(self._line) and len(runner.running) < runner.limits.running:
            with self._changed:
                job = self._line.first()
                if runner.running and not runner.fits(job):
                    return
                self._line.pop()
                self._changed.notify_all()
            runner.start(job)

    def _step(self) -> None:
        before = list(self.runner.running)
        paused = self.runner.step()
        with self._changed:
            for job in paused:
                self._line.add(job)
            for sequence in before:
                if sequence.job.done:
                    self._line.learn(sequence.job.ended - sequence.job.started)


_LIVE: weakref.WeakSet[Scheduler] = weakref.WeakSet()


def _after_fork() -> None:
    for scheduler in list(_LIVE):
        scheduler.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
