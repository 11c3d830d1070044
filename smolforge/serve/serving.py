"""What every route shares while the server runs: the engine, the settings, the counters, and threads for slow work.

Input: an open engine and settings. Output: ``Serving``, which a route finds with ``serving_of(request)``.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from starlette.requests import Request

from smolforge.engine.engine import Engine
from smolforge.engine.lease import Lease
from smolforge.serve.metrics import Metrics
from smolforge.serve.problems import Problem
from smolforge.serve.settings import Settings

P = ParamSpec("P")
Result = TypeVar("Result")
THREADS = 4  # for templates, grammars and tokenizing
GRACE = 2.0  # seconds for answers that were cut to be sent
TASKS = 32  # tasks at once; each waits in a thread for the engine


class Serving:
    """One engine being served. ``open``: HTTP requests being answered."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self.model = engine.model.name
        self.created = int(time.time())
        self.metrics = Metrics()
        self.open = 0
        self._drain_until: float | None = None
        self._leases: set[Lease] = set()
        self._threads = ThreadPoolExecutor(THREADS, "smolforge-serve")
        self._task_threads = ThreadPoolExecutor(TASKS, "smolforge-task")
        self._tasks = 0

    @property
    def draining(self) -> bool:
        """Whether the server has been told to stop: requests that are running may end, new ones are refused."""
        return self._drain_until is not None

    @property
    def drained(self) -> bool:
        """Whether nothing runs any more, or does not end although it was cut."""
        until = self._drain_until
        return until is not None and (not self.open or time.monotonic() > until + GRACE)

    def drain(self) -> None:
        """Refuse what comes from now on; the second time, or when time is up, cut what runs."""
        seconds = 0.0 if self.draining else self.settings.drain
        self._drain_until = time.monotonic() + seconds

    def cut_late(self) -> None:
        """Let what still runs when the drain is over answer with what there is."""
        if self._drain_until is not None and time.monotonic() > self._drain_until:
            for lease in list(self._leases):
                lease.end()

    @contextmanager
    def lend(self) -> Iterator[tuple[Engine, Lease]]:
        """Give one request the engine, until the block ends, however it ends."""
        engine, lease = self.engine.lend(self.settings.timeout)
        self._leases.add(lease)
        try:
            yield engine, lease
        finally:
            lease.end()
            self._leases.discard(lease)

    def expect(self, name: str | None) -> None:
        """Refuse a request for another model than the one that is here; no name means that one."""
        if name is not None and name != self.model:
            message = f"the model '{name}' is not served here; '{self.model}' is"
            raise Problem(404, message, param="model", code="model_not_found")

    async def off_loop(self, function: Callable[P, Result], *args: P.args, **options: P.kwargs) -> Result:
        """Run a short function in a thread, so that the event loop goes on; what it raises is raised here."""
        return await _in(self._threads, functools.partial(function, *args, **options))

    async def in_task(self, function: Callable[P, Result], *args: P.args, **options: P.kwargs) -> Result:
        """Run a task, which waits for the engine, in a thread of its own; ``Problem`` 429 where too many do."""
        if self._tasks >= TASKS:
            raise Problem(429, f"{TASKS} tasks run already", code="overloaded", headers={"Retry-After": "1"})
        self._tasks += 1
        try:
            return await _in(self._task_threads, functools.partial(function, *args, **options))
        finally:
            self._tasks -= 1

    def close(self) -> None:
        """Let the threads go; the engine stays open."""
        for threads in (self._threads, self._task_threads):
            threads.shutdown(wait=False, cancel_futures=True)


async def _in(threads: ThreadPoolExecutor, function: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(threads, function)


def serving_of(request: Request) -> Serving:
    """Return what the routes of this application share."""
    found: Serving = request.app.state.serving
    return found
