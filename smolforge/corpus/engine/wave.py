"""Waves: many tasks of one job, each output written once and kept, whatever is killed meanwhile.

In: a folder for the outputs, a job, its tasks and argument. Out: one file or folder a task, ``<wave>/<task name>``,
and beside it ``<task name>.poisoned.json`` where items had to be left out.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from smolforge.corpus.engine.attempts import Attempts, Ended, remove
from smolforge.corpus.engine.bisect import find_poisoned, size, without
from smolforge.corpus.engine.launcher import Launcher
from smolforge.corpus.engine.plan import freeze, frozen_plan
from smolforge.corpus.engine.pool import PoolLauncher
from smolforge.corpus.engine.ray_cluster import RayLauncher
from smolforge.corpus.engine.task import Job, Task
from smolforge.errors import DataError
from smolforge.store import Progress, digest_json, read_json, write_json
from smolforge.store.atomic import fsync_path

if TYPE_CHECKING:
    from smolforge.corpus.config import EngineConfig

ROOM = 4.0  # a piece of a dead task gets its share of the time limit this many times over,
LEAST_SECONDS = 60.0  # and never less than this, where the limit itself is not
PATIENCE = 2.0  # what is left of a task after its poisoned items may take this many times the limit


@dataclass(frozen=True)
class Poisoned:
    """An item that no process survives: number ``item`` of task ``task``. ``why`` is the same on every run."""

    wave: str
    task: str
    item: int
    why: str


class Runner:
    """Runs the waves of one stage, in order, below ``folder``; each wave's plan holds the digest of the one before.

    ``poisoned`` lists the items left out of the waves so far. Use it as a context manager: it ends its processes.
    """

    def __init__(
        self, folder: Path, config: EngineConfig, progress: Progress, launcher: Launcher | None = None
    ) -> None:
        self.folder, self.config, self.progress = folder, config, progress
        self.poisoned: list[Poisoned] = []
        self._launcher, self._ours = launcher, launcher is None
        self._after = ""

    def wave(self, name: str, job: Job, tasks: Sequence[Task], argument: Any = None) -> list[Path]:
        """Run what is missing of ``job`` over ``tasks`` and return the outputs, one a task, in their order.

        Every output exists afterwards: a task whose items are all poisoned ran once more with ``task.only(())``, so a
        job must be able to write an output of nothing. A SmolforgeError of a job is raised at once with the task's
        name; DataError for a task that dies whatever is left out, or that cannot be cut (``items`` 0).
        """
        folder = self.folder / name
        plan = frozen_plan(job, tasks, argument, self._after)
        freeze(folder, plan)
        self._after = digest_json(plan)
        missing = [task for task in tasks if not (folder / task.name).exists()]
        self.progress.start(len(tasks), "tasks")
        self.progress.update(len(tasks) - len(missing))
        if missing:
            launcher = self._started()
            wave = _Wave(Attempts(launcher, folder, job, argument), self.config.task_timeout, self.progress, len(tasks))
            try:
                wave.run(missing)
            except BaseException:
                launcher.cancel()
                raise
        self.poisoned += [each for task in tasks for each in _listed(folder, task)]
        return [folder / task.name for task in tasks]

    def close(self) -> None:
        """End every process that runs jobs, unless the launcher was given and is another's."""
        if self._launcher and self._ours:
            self._launcher.close()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> Launcher:
        if self._launcher is None:
            width, limits = self.config.workers, (self.config.memory_mib, self.config.recycle_after)
            address = self.config.cluster
            self._launcher = RayLauncher(address, width, *limits) if address else PoolLauncher(width, *limits)
        return self._launcher


class _Wave:
    """One wave under way: first everything, twice where it dies, then the search, then what is left of the dead."""

    def __init__(self, attempts: Attempts, seconds: float, progress: Progress, total: int) -> None:
        self._attempts, self._folder = attempts, attempts.folder
        self._seconds, self._progress, self._total = seconds, progress, total
        self._missing = 0

    def run(self, tasks: Sequence[Task]) -> None:
        self._missing = len(tasks)
        dead = self._twice([_left(self._folder, task) for task in tasks], self._seconds)
        for ended in dead:
            if not ended.task.items:
                raise DataError(f"{self._place(ended.task)}: {ended.why}, twice, and cannot be cut\n{ended.words}")
        if not dead:
            return
        found = find_poisoned([ended.task for ended in dead], self._try)
        for ended in dead:
            _list(self._folder, ended.task, found[ended.task.name])
        for ended in self._twice([_left(self._folder, ended.task) for ended in dead], self._seconds * PATIENCE):
            raise DataError(
                f"{self._place(ended.task)}: {ended.why}, twice, although its pieces run one by one: allow more "
                f"(corpus.memory_mib, corpus.task_timeout) or make parts smaller (corpus.shard_bytes)\n{ended.words}"
            )

    def _twice(self, tasks: Sequence[Task], seconds: float) -> list[Ended]:
        """Publish the outputs of all tasks but those that die twice, which are returned in the order of ``tasks``."""
        deaths: Counter[str] = Counter()
        dead: dict[str, Ended] = {}
        queue = deque((task, seconds) for task in tasks)
        for ended in self._attempts.run(queue):
            if not ended.why:
                self._publish(ended)
                continue
            remove(ended.output)
            deaths[ended.task.name] += 1
            self._progress.note(f"{self._place(ended.task)}: {ended.why}{_last_line(ended.words)}")
            if deaths[ended.task.name] == 1:
                queue.append((ended.task, seconds))
            else:
                dead[ended.task.name] = ended
        return [dead[task.name] for task in tasks if task.name in dead]

    def _publish(self, ended: Ended) -> None:
        ended.output.replace(self._folder / ended.task.name)
        fsync_path(self._folder)
        self._missing -= 1
        self._progress.update(self._total - self._missing)

    def _try(self, pieces: Sequence[Task]) -> list[str]:
        shares = (size(piece.ranges) / piece.items for piece in pieces)
        times = (min(self._seconds, max(LEAST_SECONDS, self._seconds * ROOM * share)) for share in shares)
        return self._attempts.deaths(list(zip(pieces, times, strict=True)))

    def _place(self, task: Task) -> str:
        return f"{self._folder.name}/{task.name}"


def _listed(folder: Path, task: Task) -> list[Poisoned]:
    file = _list_file(folder, task)
    return [Poisoned(folder.name, task.name, **row) for row in read_json(file)] if file.exists() else []


def _list(folder: Path, task: Task, found: dict[int, str]) -> None:
    """Add poisoned items to the list beside the output."""
    rows = {each.item: each.why for each in _listed(folder, task)} | found
    if rows:
        write_json(_list_file(folder, task), [{"item": item, "why": rows[item]} for item in sorted(rows)])


def _left(folder: Path, task: Task) -> Task:
    """Return the task without the items listed as poisoned."""
    listed = _listed(folder, task)
    return task.only(without(task.ranges, [each.item for each in listed])) if listed else task


def _list_file(folder: Path, task: Task) -> Path:
    return folder / f"{task.name}.poisoned.json"


def _last_line(words: str) -> str:
    return f" ({words.splitlines()[-1]})" if words else ""
