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
from smolforge.corpus.engine.bisect import MOST, JobAtFault, advice, find_poisoned, size, without
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
DEAD = 8  # tasks that wait for the search; with so many, nothing new begins before it: the job may be at fault
SHARE = 0.01  # of a wave's items may be poisoned, or ``MOST`` where that is more


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
        name; DataError where the job is at fault and not the data: a task that dies whatever is left out or that cannot
        be cut (``items`` 0), too many poisoned items in a task (``bisect.most_poisoned``) or in the wave (``SHARE``).
        """
        folder = self.folder / name
        plan = frozen_plan(job, tasks, argument, self._after)
        freeze(folder, plan)
        self._after = digest_json(plan)
        missing = [task for task in tasks if not (folder / task.name).exists()]
        missing.sort(key=lambda task: -task.size)  # the largest begin first, lest one of them runs last and alone
        self.progress.start(len(tasks), "tasks")
        self.progress.update(len(tasks) - len(missing))
        if missing:
            launcher = self._started()
            wave = _Wave(Attempts(launcher, folder, job, argument), self.config.task_timeout, self.progress, tasks)
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

    def __init__(self, attempts: Attempts, seconds: float, progress: Progress, tasks: Sequence[Task]) -> None:
        self._attempts, self._folder = attempts, attempts.folder
        self._seconds, self._progress, self._tasks = seconds, progress, tasks
        self._missing = 0

    def run(self, tasks: Sequence[Task]) -> None:
        self._missing = len(tasks)
        waiting = deque(_left(self._folder, task) for task in tasks)
        while waiting:
            if dead := self._twice(waiting, self._seconds):
                self._search(dead)
                self._check_share(dead)
                self._rest(dead)

    def _search(self, dead: Sequence[Ended]) -> None:
        """List the poisoned items of dead tasks."""
        for ended in dead:
            if not ended.task.items:
                self._progress.note(f"{self._place(ended.task)}: {ended.words}")
                raise DataError(
                    f"{self._place(ended.task)}: {ended.why}, twice, and cannot be cut; {advice(ended.why)}"
                )
        try:
            found = find_poisoned([ended.task for ended in dead], self._try)
        except JobAtFault as fault:
            words = next(ended.words for ended in dead if ended.task.name == fault.task)
            self._progress.note(f"{self._folder.name}/{fault.task}: {words}")
            raise DataError(f"{self._folder.name}/{fault.task}: {fault}") from None
        for ended in dead:
            _list(self._folder, ended.task, found[ended.task.name])

    def _check_share(self, dead: Sequence[Ended]) -> None:
        listed = sum(len(_listed(self._folder, task)) for task in self._tasks)
        items = sum(task.items for task in self._tasks)
        if listed > max(MOST, SHARE * items):
            self._progress.note(f"{self._place(dead[0].task)}: {dead[0].words}")
            raise DataError(
                f"{self._folder.name}: {listed} of {items} items die, the last ones in {dead[0].task.name}: "
                f"{dead[0].why}; {advice(dead[0].why)}"
            )

    def _rest(self, dead: Sequence[Ended]) -> None:
        """Run dead tasks without their poisoned items."""
        for ended in self._twice(deque(_left(self._folder, ended.task) for ended in dead), self._seconds * PATIENCE):
            raise DataError(
                f"{self._place(ended.task)}: {ended.why}, twice, although its pieces run one by one: allow more "
                f"(corpus.memory_mib, corpus.task_timeout) or make parts smaller (corpus.shard_bytes)\n{ended.words}"
            )

    def _twice(self, waiting: deque[Task], seconds: float) -> list[Ended]:
        """Publish the outputs of tasks but those that die twice, which are returned in the order they were waiting.

        Takes from ``waiting`` until it is empty, or until ``DEAD`` have died and what runs then has ended.
        """
        deaths: Counter[str] = Counter()
        dead: dict[str, Ended] = {}
        order = {task.name: number for number, task in enumerate(waiting)}
        queue = deque((task, seconds * task.times) for task in waiting)
        waiting.clear()
        for ended in self._attempts.run(queue):
            if not ended.why:
                self._publish(ended)
                continue
            remove(ended.output)
            deaths[ended.task.name] += 1
            self._progress.note(f"{self._place(ended.task)}: {ended.why}{_last_line(ended.words)}")
            if deaths[ended.task.name] == 1:
                queue.appendleft((ended.task, seconds * ended.task.times))
                continue
            dead[ended.task.name] = ended
            if len(dead) >= DEAD:
                waiting.extend(task for task, _ in queue)
                queue.clear()
        return sorted(dead.values(), key=lambda ended: order[ended.task.name])

    def _publish(self, ended: Ended) -> None:
        ended.output.replace(self._folder / ended.task.name)
        fsync_path(self._folder)
        self._missing -= 1
        self._progress.update(len(self._tasks) - self._missing)

    def _try(self, pieces: Sequence[Task]) -> list[str]:
        return self._attempts.deaths([(piece, self._seconds_of(piece)) for piece in pieces])

    def _seconds_of(self, piece: Task) -> float:
        """Return what a piece of a dead task gets."""
        limit, share = self._seconds * piece.times, size(piece.ranges) / piece.items
        return min(limit, max(LEAST_SECONDS, limit * ROOM * share))

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
