"""The frozen plan of a wave: what was asked for, so that a restart knows which outputs are still the right ones.

In: the job, its tasks and its argument. Out: a JSON value; equal plans mean equal outputs.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from smolforge.corpus.engine.task import Job, Task
from smolforge.store import digest_bytes, digest_json, read_json, write_json
from smolforge.store.outside import files_mark

PLAN = "plan.json"


def frozen_plan(job: Job, tasks: Sequence[Task], argument: Any, after: str) -> dict[str, Any]:
    """Return the plan of a wave that follows the one whose plan has the digest ``after``.

    The job's version is ``VERSION`` of its module, where there is one: raise it when the same input gives other bytes.
    """
    module = sys.modules[job.__module__]
    if job.__module__ == "__main__" or getattr(module, job.__qualname__, None) is not job:
        raise TypeError(f"a job is a function at the top of a module that other processes can import, not {job!r}")
    names = Counter(task.name for task in tasks)
    if names and (doubled := names.most_common(1)[0])[1] > 1:
        raise ValueError(f"{doubled[1]} tasks of one wave have the name '{doubled[0]}'")
    mark = cache(files_mark)  # many parts are of one file
    return {
        "job": f"{job.__module__}:{job.__qualname__}",
        "version": str(getattr(module, "VERSION", "1")),
        "argument": digest_json(plain(argument)),
        "after": after,
        "tasks": [_task(task, mark) for task in tasks],
    }


def freeze(folder: Path, plan: dict[str, Any]) -> None:
    """Make ``folder`` follow ``plan``: what another plan left there goes, and so do unfinished outputs."""
    file = folder / PLAN
    if not (file.is_file() and read_json(file) == plan):
        if folder.exists():
            shutil.rmtree(folder)
        write_json(file, plan)
    for left in folder.glob(".*.part"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def plain(value: Any) -> Any:
    """Return a value of configurations, dataclasses, arrays and containers as a JSON value that tells them apart.

    TypeError for anything else: what a job depends on must show in the plan.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return {"bytes": digest_bytes(value)}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Mapping):
        return {"mapping": [[plain(key), plain(each)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return {"set": sorted((plain(each) for each in value), key=digest_json)}
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__qualname__: {each.name: plain(getattr(value, each.name)) for each in fields(value)}}
    if hasattr(value, "model_dump"):
        return {type(value).__qualname__: value.model_dump(mode="json")}
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):
        return {"array": [str(value.dtype), list(value.shape), digest_bytes(value.tobytes())]}
    raise TypeError(
        f"the argument of a job cannot hold a {type(value).__name__}: a plan could not tell two of them apart"
    )


def _task(task: Task, mark: Callable[[Path | str], str]) -> dict[str, Any]:
    inputs = [[str(part.path), part.first, part.last, mark(part.path)] for part in task.inputs]
    return {"name": task.name, "inputs": inputs, "items": task.items, "ranges": [list(each) for each in task.ranges]}
