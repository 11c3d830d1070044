"""The loop between a wave and its launcher: enough attempts under way, each with a name of its own to write to.

In: tasks. Out: each with the place where its output lies and what killed it, if anything.
"""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.corpus.engine.launcher import Attempt, Launcher
from smolforge.corpus.engine.task import Job, Task
from smolforge.errors import MissingDependencyError, SmolforgeError

AHEAD = 2  # attempts under way for each place: the next one is there when the last is done
LOSSES = 8  # times that the place where a task runs may disappear under it


@dataclass(frozen=True)
class Ended:
    """An attempt's task with what it wrote, and why it died (empty: it lived), in the words of ``Finished``."""

    task: Task
    output: Path
    why: str
    words: str


@dataclass(frozen=True)
class Attempts:
    """Makes attempts of one job below ``folder``."""

    launcher: Launcher
    folder: Path
    job: Job
    argument: Any

    def run(self, tasks: deque[tuple[Task, float]]) -> Iterator[Ended]:
        """Try every (task, seconds), those too that the caller appends meanwhile, in order of completion.

        A SmolforgeError of a job is raised with the task's name. An attempt whose worker disappeared is made again.
        """
        running: dict[int, Attempt] = {}
        losses: Counter[str] = Counter()
        numbers = itertools.count()
        while tasks or running:
            while tasks and len(running) < AHEAD * self.launcher.width:
                attempt = self._attempt(next(numbers), *tasks.popleft())
                running[attempt.number] = attempt
                self.launcher.submit(attempt)
            for finished in self.launcher.done():
                attempt = running.pop(finished.number)
                task = attempt.task
                if finished.error:
                    raise _named(f"{self.folder.name}/{task.name}", finished.error)
                if finished.lost:
                    losses[task.name] += 1
                    if losses[task.name] > LOSSES:
                        raise SmolforgeError(f"{self.folder.name}/{task.name}: {LOSSES} workers lost: {finished.words}")
                    tasks.append((task, attempt.seconds))
                    continue
                yield Ended(task, attempt.output, finished.why, finished.words)

    def deaths(self, tasks: Sequence[tuple[Task, float]]) -> list[str]:
        """Try tasks for no output's sake; return what killed each, empty for those that lived."""
        found: dict[Task, str] = {}
        for ended in self.run(deque(tasks)):
            remove(ended.output)
            found[ended.task] = ended.why
        return [found[task] for task, _ in tasks]

    def _attempt(self, number: int, task: Task, seconds: float) -> Attempt:
        output = self.folder / f".{task.name}.{uuid.uuid4().hex[:12]}.part"
        return Attempt(number, self.job, task, output, self.argument, seconds)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _named(place: str, error: Exception) -> Exception:
    """Put the place in front of the message of an error for a person."""
    if isinstance(error, SmolforgeError) and not isinstance(error, MissingDependencyError):
        error.args = (f"{place}: {error}",)
    return error
