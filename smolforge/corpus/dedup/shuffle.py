"""Tables that one wave writes in partitions and the next reads by partition, whatever the number of shards.

Input: rows with a partition number each. Output: one Arrow file a job; a reader takes the batches of its partition from
every file and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

PARTITION_BYTES = 32 << 20  # of rows in one partition, about: what a reader holds at once
_PARTITIONS = b"partitions"


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
    pieces = [
        (int(number), first + at, min(batch_rows, count - at))
        for number, first, count in zip(numbers, firsts.tolist(), counts.tolist(), strict=True)
        for at in range(0, count, batch_rows)
    ]
    named = json.dumps([number for number, _, _ in pieces]).encode()
    schema = table.schema.with_metadata({_PARTITIONS: named})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for _, first, rows in pieces:
            for batch in table.slice(first, rows).to_batches():
                writer.write_batch(batch)


class Partitioned:
    """An open file of ``write_partitions``; batches are read one at a time."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        try:
            self._file = pa.OSFile(str(path), "rb")
            self._reader = pa.ipc.open_file(self._file)
            self._numbers: list[int] = json.loads((self._reader.schema.metadata or {})[_PARTITIONS])
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: not a partitioned table ({str(error).splitlines()[0]})") from None

    @property
    def schema(self) -> pa.Schema:
        return self._reader.schema.remove_metadata()

    def batches(self, partition: int) -> list[int]:
        """Return the numbers of a partition's batches, in order."""
        return [at for at, number in enumerate(self._numbers) if number == partition]

    def batch(self, number: int) -> pa.RecordBatch:
        """Read one batch."""
        return self._reader.get_batch(number)

    def close(self) -> None:
        self._reader = None
        self._file.close()


def read_partition(paths: Sequence[Path], partition: int) -> pa.Table:
    """Return a partition's rows from all files, in the order of the files."""
    import pyarrow as pa

    batches, schema = [], None
    for batch, schema in _each(paths, partition):  # noqa: B007
        if batch is not None:
            batches.append(batch.replace_schema_metadata())
    assert schema is not None, "no files"
    return pa.Table.from_batches(batches, schema).combine_chunks()


def _each(paths: Sequence[Path], partition: int) -> Iterator[tuple[pa.RecordBatch | None, pa.Schema]]:
    for path in paths:
        file = Partitioned(path)
        yield None, file.schema
        for number in file.batches(partition):
            yield file.batch(number), file.schema
        file.close()
