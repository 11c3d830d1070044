"""Tables of rows on disk, read and written a few at a time: JSON Lines, CSV and Parquet.

Input: a path whose suffix says what it is. Output: a ``Source`` that knows its columns and number of rows and yields
rows as dicts; ``write_rows`` writes such rows to a path. Parquet needs pyarrow (``smolforge[data]``), others nothing.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from smolforge.errors import ConfigError, DataError, MissingDependencyError
from smolforge.store.atomic import replacing

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

Row = dict[str, Any]
Kind = Literal["text", "integer", "number", "truth", "json", "vector"]
SUFFIXES = (".jsonl", ".csv", ".parquet")
BATCH = 1024  # rows that are held at a time
_KINDS: dict[frozenset[type], Kind] = {
    frozenset({str}): "text", frozenset({int}): "integer", frozenset({float}): "number",
    frozenset({int, float}): "number", frozenset({bool}): "truth", frozenset(): "text",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A table to read: how many rows, and each column's kind, in order. ``schema``: Arrow's own, of a Parquet file."""

    path: Path
    rows: int
    columns: dict[str, Kind]
    schema: Any = None

    def each(self, start: int = 0) -> Iterator[Row]:
        """Yield the rows from number ``start`` (from 0) on."""
        return islice(_READERS[self.path.suffix](self.path), start, None)


def open_table(path: Path) -> Source:
    """Read a table through once: DataError names the first row that is wrong, so that no job fails on it late."""
    suffix(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            return _parquet_source(path)
        return _looked_through(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from None


def suffix(path: Path) -> str:
    """Return the suffix of a table's path; ConfigError where it is no kind of table that is known."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        _parquet()
    return path.suffix


def write_rows(path: Path, rows: Iterable[Row], columns: Mapping[str, Kind], schema: Any = None) -> None:
    """Write rows as they come. ``columns`` names all of them in order; ``schema`` has the Arrow types of some."""
    _WRITERS[path.suffix](path, rows, columns, schema)


def replace_rows(path: Path, rows: Iterable[Row], columns: Mapping[str, Kind]) -> None:
    """Write rows so that a reader sees the old table or the whole new one; the suffix of ``path`` says its kind."""
    with replacing(path) as part:
        _WRITERS[suffix(path)](part, rows, columns, None)


def _parquet_source(path: Path) -> Source:
    import pyarrow as pa

    try:
        file = _parquet().ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from None
    schema = file.schema_arrow
    return Source(path, file.metadata.num_rows, dict.fromkeys(schema.names, "json"), schema)


def _looked_through(path: Path) -> Source:
    seen: dict[str, set[type]] = {}
    count = 0
    for row in _READERS[path.suffix](path):
        count += 1
        for name, value in row.items():
            kinds = seen.setdefault(name, set())
            if value is not None:
                large = isinstance(value, int) and not -(1 << 63) <= value < 1 << 63
                kinds.add(object if large else type(value))
    if not count:
        raise DataError(f"{path}: the table has no rows")
    return Source(path, count, {name: _KINDS.get(frozenset(kinds), "json") for name, kinds in seen.items()})


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: not valid JSON ({error})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number}: {type(row).__name__}, expected an object")
            yield row


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)  # the library's own limit is shorter than some documents
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        names = reader.fieldnames or []
        if len(set(names)) < len(names):
            raise DataError(f"{path}: two columns have the same name")
        for row in reader:
            if None in row:
                raise DataError(f"{path}: line {reader.line_num}: more cells than columns ({len(names)})")
            yield row


def _read_parquet(path: Path) -> Iterator[Row]:
    for batch in _parquet().ParquetFile(path).iter_batches(batch_size=BATCH):
        yield from batch.to_pylist()


def _write_jsonl(path: Path, rows: Iterable[Row], columns: Mapping[str, Kind], schema: Any) -> None:
    with path.open("wb") as stream:
        stream.writelines(_json(row).encode() + b"\n" for row in rows)


def _write_csv(path: Path, rows: Iterable[Row], columns: Mapping[str, Kind], schema: Any) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _write_parquet(path: Path, rows: Iterable[Row], columns: Mapping[str, Kind], schema: Any) -> None:
    import pyarrow as pa

    types = _arrow_types()
    given = {} if schema is None else {field.name: field for field in schema}
    fields = [given.get(name) or pa.field(name, types[kind]) for name, kind in columns.items()]
    as_json = [name for name, kind in columns.items() if kind == "json" and name not in given]
    made = pa.schema(fields, metadata=None if schema is None else schema.metadata)
    source = iter(rows)
    with _parquet().ParquetWriter(path, made) as writer:
        while batch := list(islice(source, BATCH)):
            for row in batch:
                row.update({name: _json(row[name]) for name in as_json if row.get(name) is not None})
            writer.write_table(pa.Table.from_pylist([_encodable(row) for row in batch], schema=made))


def _arrow_types() -> dict[Kind, pa.DataType]:
    import pyarrow as pa

    return {
        "text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "truth": pa.bool_(), "json": pa.string(),
        "vector": pa.list_(pa.float32()),
    }  # fmt: skip


def _parquet() -> Any:
    try:
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise MissingDependencyError("pyarrow", "data", "a Parquet table") from None
    return pyarrow.parquet


def _json(value: Any) -> str:
    """Return JSON text; what UTF-8 cannot carry is escaped, what JSON has no word for (a date) becomes text."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, default=str)
    return text


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return _json(value) if isinstance(value, bool | Mapping | Sequence) else value


def _encodable(row: Row) -> Row:
    return {name: v.encode(errors="replace").decode() if isinstance(v, str) else v for name, v in row.items()}


_READERS = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
_WRITERS = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
