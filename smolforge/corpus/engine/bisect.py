"""Find the items that no process survives: halves of a dead task run alone until single items are left.

In: tasks that died twice and a way to try tasks. Out: for each task its poisoned items and what each of them does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from smolforge.corpus.engine.task import Ranges, Task
from smolforge.errors import DataError

Trial = Callable[[Sequence[Task]], Sequence[str]]
"""Runs tasks and throws their outputs away; returns what killed each, empty for those that lived."""

MOST = 256  # poisoned items of one task; more are no accident of the data


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
    death. DataError where a task dies of no items at all or of too many: then it is not the data's fault.
    """
    for task, why in zip(dead, trial([task.only(()) for task in dead]), strict=True):
        if why:
            raise DataError(f"{task.name}: dies even with none of its {task.items} items ({why})")
    found: dict[str, dict[int, str]] = {task.name: {} for task in dead}
    suspects = list(dead)
    while suspects:
        _alone(suspects, trial, found)
        pieces = [task.only(half) for task in suspects if size(task.ranges) > 1 for half in halves(task.ranges)]
        suspects = [task for task, why in zip(pieces, trial(pieces), strict=True) if why]
        _check_number(suspects, found)
    return found


def _alone(suspects: Sequence[Task], trial: Trial, found: dict[str, dict[int, str]]) -> None:
    """Try single items a second time and note those that kill again."""
    singles = [task for task in suspects if size(task.ranges) == 1]
    for task, why in zip(singles, trial(singles), strict=True):
        if why:
            found[task.name][task.ranges[0][0]] = why


def _check_number(suspects: Sequence[Task], found: dict[str, dict[int, str]]) -> None:
    """Every suspected range holds at least one poisoned item."""
    number = Counter(task.name for task in suspects)
    number.update({name: len(items) for name, items in found.items()})
    for name, count in number.items():
        if count > MOST:
            why = next(iter(found[name].values()), "")
            raise DataError(f"{name}: more than {MOST} of its items kill their process{why and f' ({why})'}")
