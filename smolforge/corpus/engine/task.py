"""What a job is told to do: a task names its parts, and which of its items to take.

In: files and how they are divided. Out: `Task`s for `Runner.wave`, and the rows of a Parquet part that a task keeps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of items, (first, last), in ascending order and apart from each other."""


@dataclass(frozen=True)
class Part:
    """A piece of one file: ``first`` up to, not including, ``last``, in rows, row groups, bytes or records.

    The job knows which. ``path`` is a path of this machine or an address such as ``s3://bucket/name``.
    """

    path: Path | str
    first: int
    last: int


@dataclass(frozen=True)
class Task:
    """One unit of work. ``name`` becomes the name of its output, ``inputs`` are what the job reads.

    ``items`` says how finely the task can be cut when something in it kills the process: items are numbered 0 up to
    ``items``, in rows or bytes or whatever the job counts by. A job leaves out every item that is not in ``ranges``.
    0 means that the task cannot be cut, and its death is an error. ``times`` is how many times the limit on time it may
    take: more than 1 for one that is known to be larger than others. ``size`` is about how much there is to do: of the
    tasks of a wave those of the largest size begin first.
    """

    name: str
    inputs: tuple[Part, ...]
    items: int
    chosen: Ranges | None = None
    times: float = 1.0
    size: int = 0

    @property
    def ranges(self) -> Ranges:
        """Items to take; all of them unless ``only`` said otherwise."""
        return ((0, self.items),) if self.chosen is None else self.chosen

    def only(self, ranges: Sequence[tuple[int, int]]) -> Task:
        """Return this task restricted to ``ranges`` of items; none at all is a valid task with an empty output."""
        return replace(self, chosen=tuple((first, last) for first, last in ranges if first < last))

    def __contains__(self, item: int) -> bool:
        return any(first <= item < last for first, last in self.ranges)

    def within(self, first: int, last: int) -> Ranges:
        """Return the ranges cut to items ``first`` up to ``last``, still in the numbers of the task."""
        cut = ((max(first, low), min(last, high)) for low, high in self.ranges)
        return tuple((low, high) for low, high in cut if low < high)


Job = Callable[[Task, Path, Any], None]
"""``job(task, output, argument)``: a module-level function that reads what the task names and writes ``output``.

``output`` does not exist yet and becomes a file or a folder. The same task and argument must give the same bytes."""


def parquet_parts(path: Path, rows: int) -> list[Part]:
    """Cut a Parquet file into parts of whole row groups with about ``rows`` rows each (at least one group)."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    parts, first, end = [], 0, 0
    for group in range(metadata.num_row_groups):
        end += metadata.row_group(group).num_rows
        if end - first >= rows:
            parts.append(Part(path, first, end))
            first = end
    return [*parts, Part(path, first, end)] if end > first or not parts else parts


def kept_batches(
    task: Task, part: Part, columns: Sequence[str] | None = None, *, item: int = 0, rows: int = 1024
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield ``(number of its first item, batch)`` of the rows of a Parquet part that the task keeps, in order.

    Rows are the task's items: ``part.first`` is item number ``item``. Row groups outside the part are not read, and at
    most one row group and ``rows`` rows are in memory. DataError names the file when it is torn.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = task.within(item, item + part.last - part.first)
    try:
        with pq.ParquetFile(part.path) as file:
            start = 0
            for group in range(file.metadata.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                wanted = [_to_rows(part, item, each) for each in kept]
                if any(first < end and start < last for first, last in wanted):
                    for row, batch in _batches(file, group, start, rows, columns):
                        yield from _cut(batch, row, wanted, item - part.first)
                start = end
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(part.path, error) from None


def _to_rows(part: Part, item: int, kept: tuple[int, int]) -> tuple[int, int]:
    return kept[0] - item + part.first, kept[1] - item + part.first


def _batches(
    file: Any, group: int, start: int, rows: int, columns: Sequence[str] | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the batches of a row group with the row numbers in the file at which they begin."""
    names = list(columns) if columns is not None else None
    for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=names, use_threads=False):
        yield start, batch
        start += batch.num_rows


def _cut(
    batch: pa.RecordBatch, row: int, wanted: Sequence[tuple[int, int]], shift: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    for first, last in wanted:
        low, high = max(first, row), min(last, row + batch.num_rows)
        if low < high:
            yield low + shift, batch.slice(low - row, high - low)


def _unreadable(path: Path | str, error: Exception) -> DataError:
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
    return DataError(f"{path}: not a readable Parquet file ({reason})")
