"""Where attempts at tasks run: one protocol for this process, a pool of children, and a cluster.

In: `Attempt`s. Out: what became of each, in the order of completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from smolforge.corpus.engine.child import ChildError, LimitedChild
from smolforge.corpus.engine.task import Job, Task
from smolforge.errors import place_problem
from smolforge.store import fsync_tree
from smolforge.store.atomic import fsync_path

IMPORTS = ("smolforge.corpus.engine.arrow",)  # what every job needs, loaded before a child's limits hold


@dataclass(frozen=True)
class Attempt:
    """One try at a task, to be written to ``output``, a name that nothing else uses. ``seconds`` bounds it."""

    number: int
    job: Job
    task: Task
    output: Path
    argument: Any
    seconds: float


@dataclass(frozen=True)
class Finished:
    """What became of an attempt. ``why`` says what killed it, empty for none; ``error`` ends the wave.

    ``lost``: the place where it ran is gone (a node, a worker of the cluster), which says nothing about the task.
    """

    number: int
    why: str = ""
    words: str = ""
    error: Exception | None = None
    lost: bool = False


class Launcher(Protocol):
    """Runs attempts somewhere. ``width`` is how many run at once."""

    @property
    def width(self) -> int: ...

    def submit(self, attempt: Attempt) -> None:
        """Take an attempt; it begins when a place is free."""

    def done(self) -> Sequence[Finished]:
        """Wait until at least one submitted attempt is finished and return those that are."""

    def cancel(self) -> None:
        """Forget what was submitted and end what runs: nothing of it is returned by ``done`` any more."""

    def close(self) -> None:
        """End everything this launcher started."""


def perform(job: Job, task: Task, output: Path, argument: Any) -> None:
    """Run the job and bring what it wrote to the disk. What every launcher calls, wherever it runs.

    A full disk or a folder that cannot be written is the person's to mend, not a fault of the task's items.
    """
    try:
        job(task, output, argument)
        if output.is_dir():
            fsync_tree(output)
        else:
            fsync_path(output)
    except OSError as error:
        raise place_problem(error) or error from None


def perform_limited(child: LimitedChild, attempt: Attempt) -> Finished:
    """Make an attempt in a child, which then is as good as new or gone."""
    try:
        child.load(attempt.job.__module__)
        job, task, output, argument = attempt.job, attempt.task, attempt.output, attempt.argument
        child.call(perform, job, task, output, argument, timeout=attempt.seconds)
    except ChildError as death:
        return Finished(attempt.number, death.why, death.words)
    except Exception as error:  # of the job, for the person; or of starting the child, which the caller must see too
        return Finished(attempt.number, error=error)
    return Finished(attempt.number)
