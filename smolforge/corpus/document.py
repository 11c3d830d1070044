"""The document table: one row a document, in Parquet shards of a bounded size.

Input: documents from ``ingest``. Output: ``part-*.parquet`` files (zstd) that every later step and room reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.errors import DataError
from smolforge.store import digest_bytes

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

FIELDS = ("doc_id", "text", "url", "source", "licence", "language", "meta")
DROP_FIELDS = ("step", "reason", "detail")


@dataclass(frozen=True)
class Document:
    """One document. ``language`` is the declared one ("" where unknown) until the language step has spoken."""

    doc_id: str
    text: str
    url: str
    source: str
    licence: str
    language: str
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        text: str,
        *,
        url: str,
        source: str,
        licence: str,
        place: str = "",
        language: str = "",
        meta: dict[str, Any] | None = None,
    ) -> Document:
        """Build a document; its id is a digest of (source, place), so the same input has the same id on any machine.

        ``place`` says where it was read; it is the address itself where that occurs once in a source."""
        doc_id = digest_bytes(f"{source}\0{place or url}".encode())
        return cls(doc_id, text, url, source, licence, language, meta or {})

    @property
    def bytes(self) -> int:
        """Length of the text in UTF-8 bytes."""
        return len(self.text.encode())


@dataclass(frozen=True)
class Verdict:
    """Why a document was dropped: the step, a short reason that can be counted, and the evidence."""

    step: str
    reason: str
    detail: str


def _schema(names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in names])


def write_table(path: Path, rows: Sequence[dict[str, Any]], names: Sequence[str] = FIELDS) -> None:
    """Write string rows as one Parquet file (zstd level 3); the bytes depend on the rows only."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(rows), schema=_schema(names))
    pq.write_table(table, path, compression="zstd", compression_level=3)


def document_row(document: Document) -> dict[str, Any]:
    """Return the table row of a document (``meta`` as JSON with sorted keys)."""
    row = {name: getattr(document, name) for name in FIELDS}
    row["meta"] = json.dumps(document.meta, sort_keys=True, ensure_ascii=False)
    return row


class ShardWriter:
    """Writes rows into ``folder/part-00000.parquet`` and so on, a new file every ``shard_bytes`` of text."""

    def __init__(self, folder: Path, shard_bytes: int, names: Sequence[str] = FIELDS) -> None:
        self.folder, self.shard_bytes, self.names = folder, shard_bytes, names
        self.paths: list[Path] = []
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, document: Document, verdict: Verdict | None = None) -> None:
        """Take one document, with the verdict where it was dropped."""
        row = document_row(document)
        self._rows.append(row | asdict(verdict) if verdict else row)
        self._bytes += document.bytes
        if self._bytes >= self.shard_bytes:
            self._flush()

    def _flush(self) -> None:
        path = self.folder / f"part-{len(self.paths):05d}.parquet"
        write_table(path, self._rows, self.names)
        self.paths.append(path)
        self._rows, self._bytes = [], 0

    def close(self) -> list[Path]:
        """Write what is left (an empty table when there was nothing at all) and return the files."""
        if self._rows or not self.paths:
            self._flush()
        return self.paths


def write_documents(folder: Path, documents: Iterable[Document], shard_bytes: int = 32_000_000) -> list[Path]:
    """Write documents as bounded shards below ``folder`` and return the files."""
    writer = ShardWriter(folder, shard_bytes)
    for document in documents:
        writer.add(document)
    return writer.close()


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of one shard; DataError names the file when it is torn or not a document table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns or FIELDS if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"{path}: not a document table, column '{missing[0]}' is missing")
            for batch in file.iter_batches(batch_size=1024, columns=list(columns) if columns else None):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def read_documents(folder: Path) -> Iterator[Document]:
    """Yield every document below ``folder`` (``part-*.parquet`` in name order), or of one shard file."""
    paths = sorted(folder.glob("part-*.parquet")) if folder.is_dir() else [folder]
    if not paths:
        raise DataError(f"{folder}: no part-*.parquet files")
    for path in paths:
        for row in read_rows(path):
            yield Document(**{name: row[name] for name in FIELDS[:-1]}, meta=json.loads(row["meta"]))
