"""Which reader a file needs: by its name, corrected by its first bytes.

Input: a file's name and first bytes. Output: its format, and its rows. A file whose name says something else than its
bytes is read as what it is, and reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from smolforge.corpus.ingest.csv_file import read_csv
from smolforge.corpus.ingest.jsonl import read_jsonl
from smolforge.corpus.ingest.packed import SNIFF_BYTES, sniff
from smolforge.corpus.ingest.parquet import read_arrow, read_parquet
from smolforge.corpus.ingest.remote import open_file
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.corpus.ingest.text_file import read_html, read_text
from smolforge.corpus.ingest.warc import read_warc
from smolforge.corpus.rows import Row, failed
from smolforge.errors import SmolforgeError

Ranges = tuple[tuple[int, int], ...]
WHOLE: Ranges = ((0, 1 << 40),)  # more lines, rows or bytes than a file has
_SUFFIXES = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".warc": "warc",
    ".wet": "warc",
}
_PACKINGS = {".gz": "gzip", ".zst": "zstd", "": ""}
_BY_MAGIC = {"Parquet": "parquet", "Arrow": "arrow", "WARC": "warc"}
_PACKED = ("jsonl", "csv", "warc")


@dataclass(frozen=True)
class Format:
    """``reader``: text, html, jsonl, csv, parquet, arrow or warc; ``packing``: gzip, zstd or ""."""

    reader: str
    packing: str = ""

    @property
    def splits(self) -> bool:
        """Whether ranges of a file's bytes can be read alone."""
        return (self.reader == "warc" and self.packing != "zstd") or (self.reader == "jsonl" and not self.packing)

    @property
    def spills(self) -> bool:
        """Whether a row's number and beginning are known only to who reads all before it."""
        packed = (self.reader, self.packing) in (("jsonl", "gzip"), ("jsonl", "zstd"), ("warc", "zstd"))
        return packed or self.reader == "csv"

    @property
    def ratio(self) -> int:
        """How many times its size text unpacks to, about."""
        return 3 if self.packing else 1


def format_of(name: str) -> Format | None:
    """Return the format a file's name promises; None for a kind of file that is not read."""
    path = PurePosixPath(name.lower())
    packing = _PACKINGS.get(path.suffix)
    if packing is None:
        packing = ""
    elif packing:
        path = path.with_suffix("")
    reader = _SUFFIXES.get(path.suffix)
    return Format(reader, packing) if reader and (not packing or reader in _PACKED) else None


def known_suffixes() -> str:
    """Return the suffixes that are read, for messages."""
    return ", ".join(_SUFFIXES)


def true_format(named: Format, head: bytes) -> tuple[Format, str]:
    """Return the format of a file by its first bytes, and what to report where its name says something else."""
    found = sniff(head)
    if named.reader in ("text", "html") or not head:
        return named, ""  # their readers say so themselves: no other reading makes text of them
    said = _label(named)
    if found and found not in ("gzip", "zstd", *_BY_MAGIC):
        return Format("none"), f"named like {said}, but holds {found} data"
    packing = found if found in ("gzip", "zstd") else ""
    actual = Format(_BY_MAGIC.get(found, named.reader), packing)
    if actual == named or (packing and named.reader not in _PACKED):
        return named, ""
    return actual, f"named like {said}, read as {_label(actual)}"


def _label(form: Format) -> str:
    return form.reader + (f" packed with {form.packing}" if form.packing else "")


def read_file(
    path: str,
    relative: str,
    ranges: Ranges,
    key: str | None,
    record: SourceRecord,
    form: Format | None = None,
    begins: int = 0,
) -> Iterator[Row]:
    """Yield the rows of a file in ``ranges`` (bytes, rows or lines as its format counts). ``form`` is what planning
    found it to be; without it the file is looked at now. ``begins``: the number of the first row of a spilled piece.
    A file that cannot be opened is one failed row."""
    try:
        with open_file(path) as file:
            if form is None:
                named = format_of(relative)
                assert named is not None, "planning takes only files of known formats"
                form, problem = true_format(named, file.read(SNIFF_BYTES))
                file.seek(0)
                if form.reader == "none":
                    yield failed("", "another kind of file", problem)
                    return
                if problem:
                    record.problem(relative, "byte 0", problem)
            yield from _rows(form, file, relative, ranges, key, record, begins)
    except SmolforgeError:
        raise
    except OSError as error:
        yield failed("", "not readable", error.strerror or str(error))


def _rows(
    form: Format,
    file: BinaryIO,
    relative: str,
    ranges: Ranges,
    key: str | None,
    record: SourceRecord,
    begins: int,
) -> Iterator[Row]:
    if form.reader == "text":
        return read_text(file, relative, record)
    if form.reader == "html":
        return read_html(file)
    if form.reader == "jsonl":
        return read_jsonl(file, form.packing, ranges, key, begins)
    if form.reader == "csv":
        return read_csv(file, form.packing, ranges, key, begins)
    if form.reader == "parquet":
        return read_parquet(file, ranges, key)
    if form.reader == "arrow":
        return read_arrow(file, ranges, key)
    return read_warc(file, form.packing, ranges, record, begins)
