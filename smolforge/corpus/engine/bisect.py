"""Find the items that no process survives: halves of a dead task run alone until single items are left.

In: tasks that died twice and a way to try tasks. Out: for each task its poisoned items and what each of them does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from smolforge.corpus.engine.child import TOO_LONG, TOO_MUCH
from smolforge.corpus.engine.task import Ranges, Task
from smolforge.errors import DataError

Trial = Callable[[Sequence[Task]], Sequence[str]]
"""Runs tasks and throws their outputs away; returns what killed each, empty for those that lived."""

MOST, ALWAYS = 16, 3  # poisoned items of a task: at most half of them, but ALWAYS this many, and never more than MOST


class JobAtFault(DataError):
    """What dies is no accident of the data. ``task`` names the task."""

    def __init__(self, task: Task, message: str) -> None:
        super().__init__(message)
        self.task = task.name


def most_poisoned(items: int) -> int:
    """Return how many of a task's items may die before the job is at fault and not the data."""
    return min(MOST, max(ALWAYS, items // 2))


def advice(why: str) -> str:
    """Return which setting helps against what a death was of, or who is at fault."""
    if why.startswith(TOO_MUCH):
        return "raise corpus.memory_mib: the job needs more, whatever the item"
    if why.startswith(TOO_LONG):
        return "raise corpus.task_timeout, or look for what is slow"
    return "the job is at fault, not single items"


def size(ranges: Ranges) -> int:
    """Return the number of items in ``ranges``."""
    return sum(last - first for first, last in ranges)


def halves(ranges: Ranges) -> tuple[Ranges, Ranges]:
    """Cut ranges of two or more items into their first and second half."""
    left, right, room = [], [], size(ranges) // 2
    for first, last in ranges:
        cut = min(last, first + room)
        room -= cut - first
        left += [(first, cut)] if first < cut else []
        right += [(cut, last)] if cut < last else []
    return tuple(left), tuple(right)


def without(ranges: Ranges, items: Iterable[int]) -> Ranges:
    """Return ``ranges`` less single ``items``."""
    kept = []
    poisoned = sorted(items)
    for first, last in ranges:
        for item in poisoned:
            if first <= item < last:
                kept.append((first, item))
                first = item + 1
        kept.append((first, last))
    return tuple((first, last) for first, last in kept if first < last)


def find_poisoned(dead: Sequence[Task], trial: Trial) -> dict[str, dict[int, str]]:
    """Return ``{task name: {item: what it does}}``; a task whose parts all live on their own has none.

    Goes down level by level, so that all halves of a level run side by side. A single item counts after its second
    death. JobAtFault where a task dies of no items at all or of more than ``most_poisoned``.
    """
    for task, why in zip(dead, trial([task.only(()) for task in dead]), strict=True):
        if why:
            raise JobAtFault(task, f"dies even with none of its {task.items} items ({why}): {advice(why)}")
    found: dict[str, dict[int, str]] = {task.name: {} for task in dead}
    suspects = dict.fromkeys(dead, "")
    while suspects:
        _alone(list(suspects), trial, found)
        pieces = [task.only(half) for task in suspects if size(task.ranges) > 1 for half in halves(task.ranges)]
        suspects = {task: why for task, why in zip(pieces, trial(pieces), strict=True) if why}
        for task in dead:
            _check_number(task, [why for piece, why in suspects.items() if piece.name == task.name], found[task.name])
    return found


def _alone(suspects: Sequence[Task], trial: Trial, found: dict[str, dict[int, str]]) -> None:
    """Try single items a second time and note those that kill again."""
    singles = [task for task in suspects if size(task.ranges) == 1]
    for task, why in zip(singles, trial(singles), strict=True):
        if why:
            found[task.name][task.ranges[0][0]] = why


def _check_number(task: Task, suspected: Sequence[str], found: dict[int, str]) -> None:
    """Every suspected range holds at least one poisoned item."""
    whys = Counter([*suspected, *found.values()])
    most = most_poisoned(task.items)
    if whys.total() > most:
        ((why, _),) = whys.most_common(1)
        raise JobAtFault(task, f"more than {most} of its {task.items} items die, most of them so: {why}; {advice(why)}")
