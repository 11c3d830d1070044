"""Tables that one wave writes in partitions and the next reads by partition, whatever the number of shards.

Input: rows with a partition number each. Output: one file a job; a reader takes the batches of its partition from every
file and nothing else. Where there are many files, ``gathered`` first merges them, so that no reader opens more than
``FAN``: the cost of a shuffle is linear in its rows (but for a logarithm to the base of ``FAN``), not in files times
readers.
"""

from __future__ import annotations

import heapq
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.dedup.tables import Waves, part_name
from smolforge.corpus.engine.task import Part, Task
from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

PARTITION_BYTES = 32 << 20  # of rows in one partition, about: what a reader holds at once
FAN = 128  # files that one reader opens, at most; each may cost it one batch of memory
BATCH_BYTES = 1 << 20  # of rows in one batch of a merged file, about
_MAGIC = b"smolpart"
_ENTRY = struct.Struct("<QQ")  # of the index: partition, and where the batch begins


def partitions_for(total_bytes: int, limit: int = PARTITION_BYTES) -> int:
    """Return how many partitions hold ``total_bytes`` of evenly spread rows."""
    return max(1, -(-total_bytes // limit))


def partition_of(keys: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Return the partition of each evenly spread 64-bit key."""
    return ((keys >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(np.int64)


def write_partitions(path: Path, table: pa.Table, partitions: NDArray[np.int64], batch_rows: int = 1 << 16) -> None:
    """Write rows grouped by partition, in the order they have within it, in batches of at most ``batch_rows``."""
    import pyarrow as pa

    order = np.argsort(partitions, kind="stable")
    table = table.take(pa.array(order)).combine_chunks()
    numbers, firsts, counts = np.unique(partitions[order], return_index=True, return_counts=True)
    with PartitionWriter(path, table.schema) as writer:
        for number, first, count in zip(numbers.tolist(), firsts.tolist(), counts.tolist(), strict=True):
            for at in range(0, count, batch_rows):
                writer.write(number, table.slice(first + at, min(batch_rows, count - at)))


class PartitionWriter:
    """Writes a partitioned table, partitions in ascending order: Arrow's messages for the schema and for each batch,
    then the index, its number of entries and a mark."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow as pa

        self._sink = pa.OSFile(str(path), "wb")
        self._index: list[bytes] = []
        self._last = 0
        self._sink.write(schema.remove_metadata().serialize())

    def write(self, partition: int, rows: pa.Table) -> None:
        """Write rows of a partition, as one batch where they are in one piece."""
        assert partition >= self._last, "partitions out of order"
        self._last = partition
        for batch in rows.to_batches():
            self._index.append(_ENTRY.pack(partition, self._sink.tell()))
            self._sink.write(batch.serialize())

    def __enter__(self) -> PartitionWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self._sink.write(b"".join([*self._index, len(self._index).to_bytes(8, "little"), _MAGIC]))
        self._sink.close()


class Partitioned:
    """An open partitioned table. Opening it costs the same however much is in it; batches are read one at a time."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            self._file = pa.OSFile(str(path), "rb")
            end = self._file.size() - 8 - len(_MAGIC)
            if end < 0 or self._file.read_at(len(_MAGIC), end + 8) != _MAGIC:
                raise ValueError("its end is missing")
            self._count = int.from_bytes(self._file.read_at(8, end), "little")
            self._index = end - self._count * _ENTRY.size
            self._file.seek(0)
            self.schema: pa.Schema = pa.ipc.read_schema(pa.ipc.read_message(self._file))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path}: not a partitioned table ({str(error).splitlines()[0]})") from None

    def entries(self, number: int) -> Iterator[tuple[int, int, int]]:
        """Yield for each batch its partition, ``number``, and where it begins, in order."""
        index = self._file.read_at(self._count * _ENTRY.size, self._index)
        return ((partition, number, begin) for partition, begin in _ENTRY.iter_unpack(index))

    def batches(self, partition: int) -> list[int]:
        """Return where a partition's batches begin, in order."""
        first, last = (bisect_left(range(self._count), end, key=self._partition) for end in (partition, partition + 1))
        return [self._entry(at)[1] for at in range(first, last)]

    def batch(self, begin: int) -> pa.RecordBatch:
        """Read one batch."""
        import pyarrow as pa

        self._file.seek(begin)
        return pa.ipc.read_record_batch(pa.ipc.read_message(self._file), self.schema)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Partitioned:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _partition(self, at: int) -> int:
        return self._entry(at)[0]

    def _entry(self, at: int) -> tuple[int, int]:
        partition, begin = _ENTRY.unpack(self._file.read_at(_ENTRY.size, self._index + at * _ENTRY.size))
        return partition, begin


def read_partition(paths: Sequence[Path], partition: int) -> pa.Table:
    """Return a partition's rows from all files, in the order of the files. There must be a file: it has the schema."""
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    for path in paths:
        with Partitioned(path) as file:
            batches += map(file.batch, file.batches(partition))
            schema = file.schema
    return pa.Table.from_batches(batches, schema).combine_chunks()


def gathered(runner: Waves, name: str, files: Sequence[Path], order: tuple[str, ...] = ()) -> list[Path]:
    """Return at most ``FAN`` files that have the rows of ``files``: these where they are no more, or what waves
    ``<name>-1``, ``<name>-2`` ... make of neighbours.

    ``order``: columns that each file's partitions are sorted by, and those of the result; "-" before a name is
    descending. Without it a partition has its rows in the order of the files."""
    found, level = list(files), 0
    while len(found) > FAN:
        level += 1
        groups = (found[first : first + FAN] for first in range(0, len(found), FAN))
        tasks = [
            Task(part_name(number), tuple(Part(file, 0, 0) for file in group), 0) for number, group in enumerate(groups)
        ]
        found = runner.wave(f"{name}-{level}", gather_job, tasks, order)
    return found


def gather_job(task: Task, output: Path, order: tuple[str, ...]) -> None:
    """Job: merge the partitioned tables of a task. A batch of each is in memory, and one to write."""
    with ExitStack() as stack:
        files = [stack.enter_context(Partitioned(Path(part.path))) for part in task.inputs]
        indexes = (file.entries(number) for number, file in enumerate(files))
        with PartitionWriter(output, files[0].schema) as writer:
            for partition, found in groupby(heapq.merge(*indexes), key=lambda entry: entry[0]):
                batches = [(files[at], begin) for _, at, begin in found]
                for table in _batched(_in_order(batches, order) if order else _one_after_another(batches)):
                    writer.write(partition, table)


def _one_after_another(batches: Sequence[tuple[Partitioned, int]]) -> Iterator[pa.RecordBatch]:
    return (file.batch(begin) for file, begin in batches)


def _in_order(batches: Sequence[tuple[Partitioned, int]], order: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a partition one by one."""
    begins: dict[Partitioned, list[int]] = {}
    for file, begin in batches:
        begins.setdefault(file, []).append(begin)
    runs = (_keyed(file, own, order) for file, own in begins.items())
    rows = heapq.merge(*runs, key=lambda each: each[0])
    return (batch.slice(row, 1) for _, batch, row in rows)


def _keyed(
    file: Partitioned, begins: Sequence[int], order: tuple[str, ...]
) -> Iterator[tuple[Any, pa.RecordBatch, int]]:
    for begin in begins:
        batch = file.batch(begin)
        columns = (_values(batch, name) for name in order)
        for row, key in enumerate(zip(*columns, strict=True)):
            yield key, batch, row


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    values: list[Any] = batch[name.removeprefix("-")].to_pylist()
    return [-value for value in values] if name.startswith("-") else values


def _batched(pieces: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join pieces until they have ``BATCH_BYTES``."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += piece.nbytes
        if size >= BATCH_BYTES:
            yield pa.Table.from_batches(held).combine_chunks()
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held).combine_chunks()
