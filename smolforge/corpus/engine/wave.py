"""Waves: many tasks of one job, each output written once and kept, whatever is killed meanwhile.

In: a folder for the outputs, a job, its tasks and argument. Out: one file or folder a task, ``<wave>/<task name>``.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from smolforge.corpus.engine.inline import InlineLauncher
from smolforge.corpus.engine.launcher import Attempt, Finished, Launcher
from smolforge.corpus.engine.plan import frozen_plan
from smolforge.corpus.engine.task import Job, Task
from smolforge.errors import DataError
from smolforge.store import Progress, digest_json, read_json, write_json
from smolforge.store.atomic import fsync_path

if TYPE_CHECKING:
    from smolforge.corpus.config import EngineConfig

PLAN = "plan.json"


@dataclass(frozen=True)
class Poisoned:
    """An item that no process survives. ``why`` is the same on every run; ``wave`` and ``task`` say where it is."""

    wave: str
    task: str
    item: int
    why: str


class Runner:
    """Runs the waves of one stage, in order, below ``folder``; each wave's plan holds the digest of the one before.

    After each wave ``poisoned`` also lists the items left out of it.
    """

    def __init__(
        self, folder: Path, config: EngineConfig, progress: Progress, launcher: Launcher | None = None
    ) -> None:
        self.folder, self.config, self.progress = folder, config, progress
        self.poisoned: list[Poisoned] = []
        self._launcher = launcher or InlineLauncher()
        self._after = ""

    def wave(self, name: str, job: Job, tasks: Sequence[Task], argument: Any = None) -> list[Path]:
        """Run what is missing of ``job`` over ``tasks`` and return the outputs, one a task, in their order."""
        folder = self.folder / name
        self._freeze(folder, frozen_plan(job, tasks, argument, self._after))
        missing = [task for task in tasks if not (folder / task.name).exists()]
        self.progress.start(len(tasks), "tasks")
        done = len(tasks) - len(missing)
        self.progress.update(done)
        attempts = (self._attempt(number, job, task, folder, argument) for number, task in enumerate(missing))
        for attempt, finished in self._run(attempts):
            if finished.error or finished.why:
                raise DataError(f"{name}/{attempt.task.name}: {finished.error or finished.why}\n{finished.words}")
            attempt.output.replace(folder / attempt.task.name)
            fsync_path(folder)
            done += 1
            self.progress.update(done)
        return [folder / task.name for task in tasks]

    def close(self) -> None:
        """End every process that runs jobs."""
        self._launcher.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _freeze(self, folder: Path, plan: dict[str, Any]) -> None:
        """Write the plan, unless the folder already follows it; what another plan left there goes."""
        file = folder / PLAN
        if not (file.is_file() and read_json(file) == plan):
            shutil.rmtree(folder, ignore_errors=True)
            write_json(file, plan)
        for left in folder.glob(".*.part"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self._after = digest_json(plan)

    def _attempt(self, number: int, job: Job, task: Task, folder: Path, argument: Any) -> Attempt:
        output = folder / f".{task.name}.{uuid.uuid4().hex[:12]}.part"
        return Attempt(number, job, task, output, argument, self.config.task_timeout)

    def _run(self, attempts: Iterable[Attempt]) -> Iterator[tuple[Attempt, Finished]]:
        """Keep the launcher supplied and yield each attempt with what became of it."""
        running: dict[int, Attempt] = {}
        waiting = iter(attempts)
        while True:
            while len(running) < 2 * self._launcher.width and (attempt := next(waiting, None)):
                running[attempt.number] = attempt
                self._launcher.submit(attempt)
            if not running:
                return
            for finished in self._launcher.done():
                yield running.pop(finished.number), finished
