"""Parquet and Arrow tables with a text column.

Input: a file and a range of its rows. Output: rows; a torn row group is reported and the others are kept. Few rows are
decoded at a time, so that long texts do not add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, BinaryIO

from smolforge.corpus.ingest.jsonl import TEXT_KEYS, field_row
from smolforge.corpus.rows import Row, failed

_BATCH_ROWS = 64
_EXTRA = ("url", "licence", "license", "crawl_date", "date")
Ranges = tuple[tuple[int, int], ...]


def parquet_ranges(file: BinaryIO, key: str | None, target: int) -> list[tuple[int, int, int]]:
    """Cut a Parquet file into (first row, last row, bytes of text) of about ``target`` bytes each: whole row groups
    where they are small, rows of one where it is large. OSError where the file cannot be read as Parquet."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        metadata = pq.ParquetFile(file).metadata
    except (pa.ArrowException, ValueError, MemoryError) as error:
        raise OSError(_first_line(error)) from None
    names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    index = next((names.index(name) for name in ((key,) if key else TEXT_KEYS) if name in names), None)
    found: list[tuple[int, int, int]] = []
    row, joined = 0, 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        size = max(group.column(index).total_uncompressed_size if index is not None else 0, 1)
        if found and joined + size <= target:
            first, _, _ = found.pop()
            joined += size
            found.append((first, row + group.num_rows, joined))
        else:
            pieces = max(min(-(-size // target), group.num_rows), 1)
            edges = [row + group.num_rows * piece // pieces for piece in range(pieces + 1)]
            found.extend((low, high, size // pieces) for low, high in pairwise(edges))
            joined = size if pieces == 1 else target
        row += group.num_rows
    return found


def read_parquet(file: BinaryIO, ranges: Ranges, key: str | None) -> Iterator[Row]:
    """Yield the rows numbered in ``ranges``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file, buffer_size=1 << 20)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        yield failed("", "not Parquet", f"torn or not Parquet: {_first_line(error)}")
        return
    names, problem = _columns(table.schema_arrow, key)
    if problem:
        yield failed("schema", "no text", problem)
        return
    start = 0
    for number in range(table.num_row_groups):
        end = start + table.metadata.row_group(number).num_rows
        wanted = [(low - start, high - start) for low, high in ranges if low < end and start < high]
        if wanted:
            yield from _group(table, number, wanted, names, key)
        start = end


def _columns(schema: Any, key: str | None) -> tuple[list[str], str]:
    """Return the columns to read, the text's first, or what is wrong with the schema."""
    import pyarrow.types as kinds  # type: ignore[import-untyped]

    keys = (key,) if key else TEXT_KEYS
    text = next((name for name in keys if name in schema.names), None)
    twice = next((name for name in (*keys, *_EXTRA) if schema.names.count(name) > 1), None)
    if twice is not None:
        return [], f"{schema.names.count(twice)} columns are named '{twice}'"
    if text is None:
        return [], f"no column {' or '.join(map(repr, keys))} among {', '.join(schema.names[:8])}"
    kind = schema.field(text).type
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    if not (kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)):
        return [], f"column '{text}' holds {kind}, not strings"
    return [text, *(name for name in _EXTRA if name in schema.names)], ""


def _group(table: Any, number: int, wanted: list[tuple[int, int]], names: list[str], key: str | None) -> Iterator[Row]:
    import pyarrow as pa

    row = 0
    try:
        for batch in table.iter_batches(_BATCH_ROWS, row_groups=[number], columns=names, use_threads=False):
            yield from _batch(batch, number, row, wanted, key)
            row += batch.num_rows
            if row >= wanted[-1][1]:
                return
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        detail = f"the rest of row group {number}: {_first_line(error)}"
        yield failed(f"group{number}row{row}", "torn row group", detail)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _batch(batch: Any, number: int, row: int, wanted: list[tuple[int, int]], key: str | None) -> Iterator[Row]:
    for first, last in wanted:
        low, high = max(first, row), min(last, row + batch.num_rows)
        if low < high:
            for index, values in enumerate(_as_bytes(batch.slice(low - row, high - low)).to_pylist(), low):
                position = f"group{number}row{index}"
                try:
                    fields = {name: _as_text(value) for name, value in values.items()}
                except UnicodeDecodeError as error:
                    yield failed(position, "not text", f"not UTF-8 ({error.reason} at byte {error.start})")
                    continue
                if fields[batch.schema.names[0]] is not None:
                    yield from field_row(fields, position, key)


def _as_bytes(batch: Any) -> Any:
    """Return a batch with its strings as bytes: nothing checked yet that a writer kept to UTF-8."""
    import pyarrow as pa

    kinds = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    columns = [column.view(kinds.get(column.type, column.type)) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _as_text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def read_arrow(file: BinaryIO, ranges: Ranges, key: str | None) -> Iterator[Row]:
    """Yield the rows numbered in ``ranges`` of an Arrow file or stream (``datasets`` writes streams)."""
    import pyarrow as pa

    row = 0
    try:
        schema, batches = _arrow_batches(file)
        names, problem = _columns(schema, key)
        if problem:
            yield failed("schema", "no text", problem)
            return
        for batch in batches:
            chosen = _as_bytes(batch.select(names))
            chosen.validate(full=True)  # offsets of a damaged file lead out of its memory
            for at in range(0, batch.num_rows, _BATCH_ROWS):
                yield from _batch(chosen.slice(at, _BATCH_ROWS), 0, row + at, list(ranges), key)
            row += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        yield failed(f"after row{row}", "torn file", f"torn or not Arrow: {_first_line(error)}")


def _arrow_batches(file: BinaryIO) -> tuple[Any, Iterator[Any]]:
    import pyarrow as pa

    magic = file.read(6)
    file.seek(0)
    if magic != b"ARROW1":
        stream = pa.ipc.open_stream(file)
        return stream.schema, stream
    reader = pa.ipc.open_file(file)
    return reader.schema, (reader.get_batch(index) for index in range(reader.num_record_batches))
