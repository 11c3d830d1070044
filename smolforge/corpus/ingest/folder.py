"""A person's own files: .txt .md .html .jsonl(.gz) .parquet below a folder, or one such file.

Input: a path. Output: documents. A torn or mislabelled file is reported with its position and the rest is kept.
"""

from __future__ import annotations

import gzip
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document
from smolforge.corpus.ingest.html import html_to_text
from smolforge.corpus.ingest.report import Ledger, SourceRecord
from smolforge.corpus.text import split_text
from smolforge.errors import DataError

MAX_LINE_BYTES = 16 << 20
MAX_FILE_BYTES = 256 << 20  # of one plain text or HTML file, which is read whole
BATCH_BYTES, BATCH_FILES = 32 << 20, 1000  # of one unit
MAX_BAD_SHARE = 0.01  # of characters that are not text; above it a file is not text
TEXT_KEYS = ("text", "content")

Row = tuple[str, dict[str, Any]]  # position inside the file ("" for the whole file), fields


def plan(spec: SourceSpec, ledger: Ledger) -> tuple[SourceRecord, list[tuple[str, ...]]]:
    """Open the record of a folder or file and return its files in batches of at most ``BATCH_BYTES`` (a larger file
    is a batch of its own). DataError if the path does not exist or has no readable kind of file."""
    root = Path(spec.path or "").expanduser()
    if not root.exists():
        raise DataError(f"corpus.sources: '{spec.path}' does not exist (and is not one of the built-in source kinds)")
    record = ledger.open(spec.name or root.resolve().stem or "folder", "", spec.licence or "unknown")
    batches: list[list[str]] = []
    size = BATCH_BYTES
    for path in _walk(root, record):
        if _suffix(path) not in _READERS:
            record.leave_out("files of another kind")
            continue
        size += path.stat().st_size
        if size > BATCH_BYTES or len(batches[-1]) >= BATCH_FILES:
            batches.append([])
            size = path.stat().st_size
        batches[-1].append(path.relative_to(root).as_posix() if path != root else path.name)
    if not batches:
        raise DataError(f"corpus.sources: '{spec.path}' has none of {', '.join(sorted(_READERS))} files")
    return record, [tuple(batch) for batch in batches]


def read_files(
    files: Iterable[str], spec: SourceSpec, config: CorpusConfig, record: SourceRecord
) -> Iterator[Document]:
    """Yield the documents of files below the path of the spec."""
    root = Path(spec.path or "").expanduser()
    for relative in files:
        path = root / relative if root.is_dir() else root
        for position, fields in _READERS[_suffix(path)](path, relative, record):
            yield from _documents(relative, position, fields, record, spec, config)


def _walk(root: Path, record: SourceRecord) -> Iterator[Path]:
    """Yield regular files in name order. Links are not followed, so a loop of links cannot trap the walk."""
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(folders + names):
            path = Path(folder) / name
            relative = path.relative_to(root).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                record.problem(relative, "path", "a symbolic link, not followed")
            elif stat.S_ISREG(mode) and not name.startswith("."):
                yield path


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".jsonl.gz" if name.endswith(".jsonl.gz") else Path(name).suffix


def _documents(
    relative: str, position: str, fields: dict[str, Any], record: SourceRecord, spec: SourceSpec, config: CorpusConfig
) -> Iterator[Document]:
    for index, piece in enumerate(split_text(fields["text"], config.max_document_characters)):
        yield Document.make(
            piece,
            url=f"file:{relative}" + (f"#{position}" if position else "") + (f"+{index}" if index else ""),
            source=record.name,
            licence=spec.licence or str(fields.get("licence") or fields.get("license") or "unknown"),
            language=spec.language or "",
            meta={"profile": spec.profile} | ({"url": fields["url"]} if isinstance(fields.get("url"), str) else {}),
        )


def decode(data: bytes, relative: str, record: SourceRecord) -> str:
    """Return bytes as text, or "" (and a problem) when they are not text. Up to 1 % invalid UTF-8 is left out."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    bad = sum(text.count(character) for character in "\0\ufffd")
    if bad > MAX_BAD_SHARE * len(text):
        record.problem(relative, f"byte {_first_bad(data)}", "not text: binary data or another encoding than UTF-8")
        return ""
    if bad:
        record.problem(relative, f"byte {_first_bad(data)}", f"{bad} characters are not UTF-8 text, left out")
        text = text.replace("\0", "").replace("\ufffd", "")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _first_bad(data: bytes) -> int:
    zero = data.find(b"\0")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start if zero < 0 else min(zero, error.start)
    return max(zero, 0)


def _read_whole(path: Path, relative: str, record: SourceRecord) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            record.problem(relative, f"byte {MAX_FILE_BYTES}", f"{size} bytes; split files over {MAX_FILE_BYTES} bytes")
            return ""
        return decode(path.read_bytes(), relative, record)
    except OSError as error:
        record.problem(relative, "byte 0", f"not readable ({error.strerror})")
        return ""


def _read_text(path: Path, relative: str, record: SourceRecord) -> Iterator[Row]:
    yield "", {"text": _read_whole(path, relative, record)}


def _read_html(path: Path, relative: str, record: SourceRecord) -> Iterator[Row]:
    yield "", {"text": html_to_text(_read_whole(path, relative, record))}


def _read_jsonl(path: Path, relative: str, record: SourceRecord) -> Iterator[Row]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    record.problem(relative, f"line {number}", f"longer than {MAX_LINE_BYTES} bytes, left out")
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(MAX_LINE_BYTES)
                elif line.strip():
                    yield from _jsonl_row(line, number, relative, record)
    except (OSError, EOFError, zlib.error) as error:
        record.problem(relative, f"after line {number}", f"torn file: {error}")


def _jsonl_row(line: bytes, number: int, relative: str, record: SourceRecord) -> Iterator[Row]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        record.problem(relative, f"line {number}", f"not valid JSON ({error})")
        return
    text = (
        next((row[key] for key in TEXT_KEYS if isinstance(row.get(key), str)), None) if isinstance(row, dict) else None
    )
    if text is None:
        record.problem(relative, f"line {number}", "expected an object with a string 'text'")
    else:
        # a lone surrogate is legal JSON but no text
        yield f"line{number}", row | {"text": text.encode("utf-8", "ignore").decode()}


def _read_parquet(path: Path, relative: str, record: SourceRecord) -> Iterator[Row]:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    group = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            column = next((key for key in TEXT_KEYS if key in names), None)
            if column is None:
                record.problem(relative, "schema", f"no column 'text' among {', '.join(names[:8])}")
                return
            columns = [column, *(name for name in ("url", "licence", "license") if name in names)]
            for group in range(file.num_row_groups):
                number = 0
                for batch in file.iter_batches(batch_size=512, row_groups=[group], columns=columns):
                    for row in batch.to_pylist():
                        if isinstance(row[column], str):
                            yield f"group{group}row{number}", row | {"text": row[column]}
                        number += 1
    except (pa.ArrowException, OSError) as error:
        record.problem(relative, f"row group {group}", f"torn or not Parquet: {str(error).splitlines()[0]}")


_READERS: dict[str, Callable[[Path, str, SourceRecord], Iterator[Row]]] = {
    ".txt": _read_text,
    ".md": _read_text,
    ".html": _read_html,
    ".htm": _read_html,
    ".jsonl": _read_jsonl,
    ".jsonl.gz": _read_jsonl,
    ".parquet": _read_parquet,
}
