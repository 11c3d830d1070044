"""What the dedup steps take: shards of annotations with their verdicts so far, and the tasks over them.

Input: the files of the ``read`` wave. Output: `Pool`, which every dedup step reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.engine.task import Job, Part, Task
from smolforge.corpus.verdicts import alive
from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

ROW_BITS = 32
ROW_MASK = (1 << ROW_BITS) - 1
INDEX_FILE = "index.json"
_SHARDS_AT_ONCE = 512  # whose notes one task looks through within the limit on time
_VERDICTS = 2  # where they begin among the inputs of a shard's task


class Waves(Protocol):
    """What dedup needs of ``engine.wave.Runner``; ``folder`` also takes what is passed between waves."""

    folder: Path

    def wave(self, name: str, job: Job, tasks: Sequence[Task], argument: Any) -> list[Path]:
        """Run the job on every task and return the outputs, in the order of the tasks."""
        ...


@dataclass(frozen=True)
class Shard:
    """One shard. ``bytes`` are UTF-8 of text; ``verdicts``: files of what earlier steps stopped."""

    annotations: Path
    documents: Path
    rows: int
    bytes: int
    verdicts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Pool:
    """All shards, in order: a place's shard is a number in ``shards``. ``sources`` are names in the order of their
    rank; ``ahead`` are those whose documents stay before any other's, whatever the length."""

    shards: tuple[Shard, ...]
    sources: tuple[str, ...]
    ahead: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of all texts."""
        return sum(shard.bytes for shard in self.shards)

    def documents(self, indexes: Sequence[Path]) -> int:
        """Return the number of documents, those of saved indexes with them."""
        return sum(shard.rows for shard in self.shards) + sum(
            row_count(part) for index in indexes for part in index_parts(index)
        )


def part_name(number: int) -> str:
    """Return the name of the task for a shard, partition or bundle."""
    return f"part-{number:05d}"


def part_number(name: str) -> int:
    """Return the number in a task's name."""
    return int(name.removeprefix("part-"))


def numbered_tasks(count: int) -> list[Task]:
    """Return a task for each partition or bundle; its job finds its input by its number."""
    return [Task(part_name(number), (), 0) for number in range(count)]


def whole_task(name: str, shards: int) -> Task:
    """Return the one task of a job that looks at what each shard left; where they are many it may take longer."""
    return Task(name, (), 0, times=max(1.0, shards / _SHARDS_AT_ONCE))


def shard_tasks(pool: Pool, indexes: Sequence[Path]) -> list[Task]:
    """Return a task for each shard (annotations, documents and its verdicts so far), then each index part."""
    tasks = []
    for number, shard in enumerate(pool.shards):
        inputs = (shard.annotations, shard.documents, *shard.verdicts)
        tasks.append(Task(part_name(number), tuple(Part(file, 0, 0) for file in inputs), 0))
    files = [part for index in indexes for part in index_parts(index)]
    return tasks + [Task(part_name(len(pool.shards) + at), (Part(file, 0, 0),), 0) for at, file in enumerate(files)]


def index_parts(index: Path) -> list[Path]:
    """Return the tables of a saved index, in order."""
    return sorted(index.glob("part-*.parquet"))


def read_columns(path: Path | str, columns: Sequence[str]) -> pa.Table:
    """Read columns of a Parquet file; DataError names the file and the column that is missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"{path}: no table for dedup, column '{missing[0]}' is missing")
            return file.read(columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def row_count(path: Path | str) -> int:
    """Return the number of rows of a Parquet file."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def alive_rows(task: Task, rows: int) -> NDArray[np.uint64]:
    """Return the row numbers of a shard that no verdict has stopped, uint64, ascending."""
    passes = alive((Path(part.path) for part in task.inputs[_VERDICTS:]), rows)
    return np.flatnonzero(passes).astype(np.uint64)


def places_of(shard: int, rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the places of a shard's rows."""
    return rows + np.uint64(shard << ROW_BITS)
