"""What the dedup steps take and give: shards of annotations with a mask each, and tables of what goes.

Input: the files of the ``read`` wave. Output: `Pool`, which every dedup step reads, and `Copies`, which each returns.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.engine.task import Job, Part, Task
from smolforge.errors import DataError
from smolforge.store import read_json, write_atomic

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

ROW_BITS = 32
ROW_MASK = (1 << ROW_BITS) - 1
INDEX_FILE = "index.json"
_WITH_MASK = 3  # inputs of a shard's task


class Waves(Protocol):
    """What dedup needs of ``engine.wave.Runner``; ``folder`` also takes what is passed between waves."""

    folder: Path

    def wave(self, name: str, job: Job, tasks: Sequence[Task], argument: Any) -> list[Path]:
        """Run the job on every task and return the outputs, in the order of the tasks."""
        ...


@dataclass(frozen=True)
class Shard:
    """One shard. ``alive``: a ``.npy`` file, bool (rows,), False where an earlier step stopped the document."""

    annotations: Path
    documents: Path
    alive: Path | None = None


@dataclass(frozen=True)
class Pool:
    """All shards, in order: a place's shard is a number in ``shards``. ``sources`` are names in the order of their
    rank; ``ahead`` are those whose documents stay before any other's, whatever the length."""

    shards: tuple[Shard, ...]
    sources: tuple[str, ...]
    ahead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copies:
    """Documents that go, with the one that stays instead: a table sorted by ``place``, 24 bytes a row.

    Columns: place uint64; partner uint64, its place (from ``len(pool.shards) << 32`` on: a row of the saved indexes);
    score float32, the share of the document that occurs in the partner; source uint32, the rank.
    """

    table: pa.Table

    def of_shard(self, shard: int) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float32]]:
        """Return rows, places of partners and scores of one shard's documents, by row."""
        places = self.table["place"].to_numpy()
        first, last = np.searchsorted(places, np.array([shard, shard + 1], np.uint64) << np.uint64(ROW_BITS))
        part = self.table.slice(int(first), int(last - first))
        rows = (part["place"].to_numpy() & np.uint64(ROW_MASK)).astype(np.int64)
        return rows, part["partner"].to_numpy(), part["score"].to_numpy()


def stays_for(steps: Sequence[Copies]) -> NDArray[np.uint64]:
    """Return for all copies of exact, then near dedup the place of the document that stays in the end: a partner of the
    first step may have gone in the second."""
    place, partner = (
        np.concatenate([np.empty(0, np.uint64), *(step.table[name].to_numpy() for step in steps)])
        for name in ("place", "partner")
    )
    if not len(place):
        return partner
    order = np.argsort(place)
    place, partner = place[order], partner[order]
    at = np.minimum(np.searchsorted(place, partner), len(place) - 1)
    stays: NDArray[np.uint64] = np.where(place[at] == partner, partner[at], partner)
    return stays


@dataclass(frozen=True)
class Names:
    """Ids of some documents: ``places`` uint64 (n,), ascending and distinct, and ``ids``, strings beside them."""

    places: NDArray[np.uint64]
    ids: pa.Array

    def of(self, places: NDArray[np.uint64]) -> list[str]:
        """Return the ids of documents, all of them among ``places``."""
        found: list[str] = self.ids.take(np.searchsorted(self.places, places)).to_pylist()
        return found


@dataclass(frozen=True)
class Groups:
    """Related documents that the held-out split must not tear apart: ``places`` uint64 (n,), ascending, and the place
    of each one's group, that of the member with the smallest id. Documents without relatives are not listed."""

    places: NDArray[np.uint64]
    groups: NDArray[np.uint64]


@dataclass(frozen=True)
class NearCopies:
    """``spared``: source -> documents that the wipe-out guard left in place; ``notes`` for the person."""

    copies: Copies
    groups: Groups
    spared: dict[str, int]
    notes: tuple[str, ...] = ()


def part_name(number: int) -> str:
    """Return the name of the task for a shard, partition or bundle."""
    return f"part-{number:05d}"


def part_number(name: str) -> int:
    """Return the number in a task's name."""
    return int(name.removeprefix("part-"))


def numbered_tasks(count: int) -> list[Task]:
    """Return a task for each partition or bundle; its job finds its input by its number."""
    return [Task(part_name(number), (), 0) for number in range(count)]


def shard_tasks(pool: Pool, indexes: Sequence[Path]) -> list[Task]:
    """Return a task for each shard (annotations, documents and, if there is one, the mask), then each index part."""
    tasks = []
    for number, shard in enumerate(pool.shards):
        files = [shard.annotations, shard.documents, *([shard.alive] if shard.alive else [])]
        tasks.append(Task(part_name(number), tuple(Part(file, 0, 0) for file in files), 0))
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
    """Return the row numbers that a shard's mask leaves, uint64, ascending."""
    if len(task.inputs) < _WITH_MASK:
        return np.arange(rows, dtype=np.uint64)
    mask = np.load(task.inputs[_WITH_MASK - 1].path)
    if mask.dtype != np.bool_ or mask.shape != (rows,):
        raise DataError(f"{task.inputs[_WITH_MASK - 1].path}: expected bool ({rows},), found {mask.dtype} {mask.shape}")
    return np.flatnonzero(mask).astype(np.uint64)


def places_of(shard: int, rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the places of a shard's rows."""
    return rows + np.uint64(shard << ROW_BITS)


def save_array(path: Path, array: NDArray[Any]) -> Path:
    """Write a ``.npy`` file unless it is there already: a wave that reads it then knows it as the same file."""
    stream = io.BytesIO()
    np.save(stream, array)
    if not (path.is_file() and path.read_bytes() == stream.getvalue()):
        write_atomic(path, stream.getvalue())
    return path


def _copies_schema() -> pa.Schema:
    import pyarrow as pa

    types = {"place": pa.uint64(), "partner": pa.uint64(), "score": pa.float32(), "source": pa.uint32()}
    return pa.schema(list(types.items()))


def write_copies(path: Path, table: pa.Table) -> None:
    """Write the rows that a job found, as ``gather_copies`` reads them."""
    import pyarrow as pa

    schema = _copies_schema()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table.select(schema.names).cast(schema).combine_chunks())


def gather_copies(files: Sequence[Path]) -> Copies:
    """Join the Arrow files of ``Copies`` rows that a wave wrote."""
    import pyarrow as pa

    tables = [pa.ipc.open_file(pa.OSFile(str(file))).read_all() for file in files]
    return Copies(pa.concat_tables([_copies_schema().empty_table(), *tables]).sort_by("place").combine_chunks())


def names_of(places: NDArray[np.uint64], pool: Pool, indexes: Sequence[Path]) -> Names:
    """Read the ids of the documents at some places, one shard at a time; of a saved index's documents ``NAME:ID``."""
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    tasks, distinct = shard_tasks(pool, indexes), np.unique(places)
    saved = [f"{read_json(index / INDEX_FILE)['name']}:" for index in indexes for _ in index_parts(index)]
    ends = np.searchsorted(distinct, np.arange(len(tasks) + 1, dtype=np.uint64) << np.uint64(ROW_BITS))
    found = [pa.array([], pa.string())]
    for task, prefix, first, last in zip(tasks, [""] * len(pool.shards) + saved, ends[:-1], ends[1:], strict=True):
        if first < last:
            column = read_columns(task.inputs[0].path, ("doc_id",))["doc_id"].combine_chunks()
            ids = column.take(pa.array(distinct[first:last] & np.uint64(ROW_MASK)))
            found.append(pc.binary_join_element_wise(prefix, ids, "") if prefix else ids)
    return Names(distinct, pa.concat_arrays(found))
