"""Verdict tables: which documents a step stopped, why, and on what evidence.

Input: rows of a shard with reasons. Output: one Parquet file a shard and step, ``verdicts/<step>/part-*.parquet``, with
only the documents that the step stopped; the wave after it, the division and ``history`` read them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.store import write_atomic

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

FOLDER = "verdicts"
VERDICTS = "verdicts.parquet"  # in the folder of a job that writes more than them


def schema() -> pa.Schema:
    """Return the columns: row in its shard, step, reason, evidence, doc_id of the partner that stays, its score."""
    import pyarrow as pa

    text, score = pa.string(), pa.float32()
    names = [("step", text), ("reason", text), ("detail", text), ("partner", text), ("score", score)]
    return pa.schema([("row", pa.uint32()), *names])


def verdict_table(
    rows: Sequence[int] | NDArray[Any],
    step: str,
    reasons: Sequence[str],
    details: Sequence[str],
    partners: Sequence[str] | None = None,
    scores: Sequence[float] | NDArray[np.float32] | None = None,
) -> pa.Table:
    """Return verdicts of some rows; ``partners`` and ``scores`` are null for a step that compares nothing."""
    import pyarrow as pa

    nothing = [None] * len(rows)
    columns: list[Any] = [rows, [step] * len(rows), reasons, details, nothing if partners is None else partners]
    columns.append(nothing if scores is None else scores)
    return pa.table(dict(zip(schema().names, columns, strict=True)), schema=schema())


def write_verdicts(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write the verdicts of one shard, in the order of its rows."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    stream = io.BytesIO()
    pq.write_table(_in_order(tables), stream, compression="zstd", compression_level=3)
    same_or_write(path, stream.getvalue())


def same_or_write(path: Path, data: bytes) -> Path:
    """Write a file unless it has these bytes: a wave that read it before a restart finds its input unchanged."""
    if not (path.is_file() and path.read_bytes() == data):
        write_atomic(path, data)
    return path


def read_verdicts(paths: Iterable[Path]) -> pa.Table:
    """Return the verdicts of one shard by all the given files, in the order of its rows.

    A document has one verdict at most: steps judge only what the steps before let pass."""
    import pyarrow.parquet as pq

    table = _in_order(pq.read_table(path) for path in paths)
    assert (np.diff(table["row"].to_numpy().astype(np.int64)) > 0).all(), "a document was stopped twice"
    return table


def _in_order(tables: Iterable[pa.Table]) -> pa.Table:
    import pyarrow as pa

    table = pa.concat_tables([schema().empty_table(), *tables]).combine_chunks()
    return table.take(np.argsort(table["row"].to_numpy(), kind="stable"))


def alive(paths: Iterable[Path], size: int) -> NDArray[np.bool_]:
    """Return for each row of a shard of ``size`` rows whether no step has stopped it so far."""
    passes = np.ones(size, bool)
    passes[read_verdicts(paths)["row"].to_numpy()] = False
    return passes
