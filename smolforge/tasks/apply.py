"""A task over a whole column of a table: JSON Lines, CSV or Parquet in, the same rows with new columns out.

Input: an engine, a task's name with its options, two paths. Output: the table, and ``Applied``, which counts. Rows are
read as they are needed and many are answered together. Each answer is kept the moment it is there (``apply_journal``):
kill the job at any time, run it again, and it goes on where it was.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.errors import ConfigError, DataError, SmolforgeError, nearest
from smolforge.store.atomic import fsync_path
from smolforge.store.digest import digest_file
from smolforge.store.tables import Kind, Row, Source, open_table, suffix, write_rows
from smolforge.tasks.apply_journal import Journal, Outcome
from smolforge.tasks.apply_tasks import RowTask, as_facts, row_task
from smolforge.tasks.results import Cost

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine

ERROR = "error"
_PLACE = re.compile(r"\{(\w+)\}")
Numbered = tuple[int, Row]


@dataclass(frozen=True)
class Applied:
    """``rows`` in the table: ``answered`` ones, and ``failed`` ones, which say why in their column. ``tried``: how many
    of them were worked on in this run, and what that cost."""

    path: Path
    rows: int
    answered: int
    failed: int
    tried: int
    cost: Cost


def apply(
    engine: Engine,
    task: str,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    column: str = "text",
    prompt: str | None = None,
    prefix: str = "",
    retry_failed: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Applied:
    """Do ``task`` ("classify", "extract", "summarize", "call", "chat", "embed") to every row of ``source``.

    The text is the row's ``column``, or ``prompt`` with each ``{name}`` replaced by that column. New columns are named
    as the task names them behind ``prefix``; a row that fails has empty ones and says why in ``error``. It is tried
    again with ``retry_failed`` only; while there are such rows the folder ``TARGET.work`` stays. ``progress`` is called
    with rows done and rows in all. ``options``: the task's own. ConfigError for what is wrong with paths, columns or
    options, before anything is answered; DataError for a table that cannot be read.
    """
    table, out = open_table(Path(source)), Path(target)
    folder = out.with_name(f"{out.name}.work")
    suffix(out)
    if out.exists() and not overwrite and not folder.exists():
        raise ConfigError(f"{out}: exists already; give another name, or say that it may be overwritten")
    made = row_task(engine, task, options)
    added: dict[str, Kind] = {prefix + name: kind for name, kind in {**made.columns, ERROR: "text"}.items()}
    if taken := [name for name in added if name in table.columns]:
        raise ConfigError(f"{table.path}: has a column '{taken[0]}' already; give a prefix for the new ones")
    template = _template(prompt if prompt is not None else f"{{{column}}}", table)
    with closing(Journal(folder, _plan(engine, table, task, made, template, prefix))) as journal:
        tried, cost = _answer(made, table, template, journal, retry_failed, progress)
        _join(table, journal, made, prefix, added, out)
        if not journal.failed:
            journal.remove()
        failed = len(journal.failed)
        return Applied(out, table.rows, table.rows - failed, failed, tried, cost)


def _plan(engine: Engine, table: Source, task: str, made: RowTask, template: str, prefix: str) -> dict[str, Any]:
    """Return what the answers depend on; a job goes on only where all of it is the same."""
    model = engine.model
    return {
        "input": digest_file(table.path),
        "task": task,
        "options": as_facts([made.facts, template, prefix]),
        "model": [model.digest, model.tokenizer_digest, engine.kv],
    }


def _answer(
    task: RowTask, table: Source, template: str, journal: Journal, retry: bool,
    progress: Callable[[int, int], None] | None,
) -> tuple[int, Cost]:  # fmt: skip
    """Answer what is not answered yet; return how many rows were tried and what they cost."""
    again = sorted(journal.failed) if retry else []
    first, total, tried, cost = journal.rows, table.rows, 0, Cost()
    done = first - len(again)
    chosen = set(again)
    rows = ((row, cells) for row, cells in enumerate(table.each(), 0) if row in chosen)
    for part in (rows if again else (), enumerate(table.each(first), first)):
        for row, outcome, spent in _outcomes(task, part, template):
            journal.add(row, outcome)
            tried, cost = tried + 1, cost + spent
            if progress is not None:
                progress(done + tried, total)
    journal.sync()
    return tried, cost


def _outcomes(task: RowTask, rows: Iterable[Numbered], template: str) -> Iterator[tuple[int, Outcome, Cost]]:
    """Yield (number, new columns or error, cost) of each row, in order."""
    taken: deque[tuple[int, SmolforgeError | None]] = deque()

    def texts() -> Iterator[str]:
        for row, cells in rows:
            try:
                text = _text(template, cells)
            except SmolforgeError as error:
                taken.append((row, error))
            else:
                taken.append((row, None))
                yield text

    for outcome in task.each(texts()):
        while taken[0][1] is not None:
            row, error = taken.popleft()
            yield row, str(error), Cost()
        row, _ = taken.popleft()
        yield (row, str(outcome), Cost()) if isinstance(outcome, SmolforgeError) else (row, *outcome)
    for row, error in taken:
        yield row, str(error), Cost()


def _template(prompt: str, table: Source) -> str:
    """Return the template; ConfigError where it names a column that the table lacks, or none."""
    names = _PLACE.findall(prompt)
    if not names:
        raise ConfigError(f"prompt {prompt!r}: it names no column; expected e.g. {{{next(iter(table.columns))}}}")
    for name in names:
        if name not in table.columns:
            known = ", ".join(table.columns)
            raise ConfigError(f"{table.path}: no column '{name}'{nearest(name, table.columns)}; there are {known}")
    return prompt


def _text(template: str, cells: Row) -> str:
    """Fill the template; DataError where a cell is empty."""

    def cell(found: re.Match[str]) -> str:
        value = cells.get(found[1])
        if value is None or value == "":
            raise DataError(f"column '{found[1]}' is empty")
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

    return _PLACE.sub(cell, template)


def _join(table: Source, journal: Journal, task: RowTask, prefix: str, added: dict[str, Kind], out: Path) -> None:
    """Write the rows with their new columns, whole, to ``out``."""

    def rows() -> Iterator[Row]:
        for cells, outcome in zip(table.each(), journal.outcomes(), strict=True):
            failed = isinstance(outcome, str)
            new = {prefix + name: None if isinstance(outcome, str) else outcome.get(name) for name in task.columns}
            yield {**cells, **new, prefix + ERROR: outcome if failed else None}

    whole = journal.folder / f"joined{out.suffix}"
    write_rows(whole, rows(), {**table.columns, **added}, table.schema)
    fsync_path(whole)
    whole.replace(out)
    fsync_path(out.absolute().parent)
