"""Tables as text: CSV and TSV with a header row, plain or packed.

Input: an open file and a range of rows. Output: rows; a row with another number of cells or a cell beyond all measure
is reported with its number and the rest is kept. Format: RFC 4180, with the delimiter of the header row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

from smolforge.corpus.ingest.jsonl import field_row
from smolforge.corpus.ingest.packed import unpack
from smolforge.corpus.rows import MAX_ROW_BYTES, Row, failed


def read_csv(
    file: BinaryIO, packing: str, ranges: tuple[tuple[int, int], ...], key: str | None, begins: int = 0
) -> Iterator[Row]:
    """Yield the rows numbered in ``ranges`` (from 0, without the header row). ``begins``: how many rows came before a
    piece of a file, whose header row it repeats."""
    for first, last in ranges:
        file.seek(0)
        yield from _rows(unpack(file, packing), first, last, key, begins)


def _rows(stream: BinaryIO, first: int, last: int, key: str | None, begins: int) -> Iterator[Row]:
    number = begins
    try:
        header = read_header(stream)
        if first == 0 and "\r" in header.decode("latin-1").strip("\r\n"):
            yield failed("line 1", "damaged CSV row", "a carriage return inside a row: rows end in LF or CR LF")
        names = _names(header)
        for cells in islice(read_cells(raw_lines(stream), header), max(last - begins, 0)):
            position, number = f"row{number}", number + 1
            if number <= first or not cells:
                continue
            if isinstance(cells, str):
                yield failed(position, "damaged CSV row", cells)
            elif len(cells) != len(names):
                yield failed(position, "damaged CSV row", f"{len(cells)} cells, expected {len(names)}")
            else:
                yield from field_row(dict(zip(names, cells, strict=True)), position, key)
    except OSError as error:
        yield failed(f"after row{number}", "torn file", str(error))


def read_header(stream: BinaryIO) -> bytes:
    """Return the header row of a table, of bounded length."""
    return stream.readline(MAX_ROW_BYTES)


def raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines of bounded length: a longer one comes in pieces."""
    while line := stream.readline(MAX_ROW_BYTES + 1):
        yield line


def read_cells(lines: Iterable[bytes], header: bytes) -> Iterator[list[str] | str]:
    """Yield the cells of each row, or what is wrong with it, as soon as the last of its lines was taken.

    A row of more than ``MAX_ROW_BYTES`` ends there: a quote that is never closed does not swallow the table."""
    csv.field_size_limit(MAX_ROW_BYTES)
    texts, delimiter = _RowTexts(iter(lines)), _delimiter(header)
    while True:
        try:
            for cells in csv.reader(texts, delimiter=delimiter):
                texts.size = 0
                yield cells
            return
        except csv.Error as error:
            texts.size = 0
            yield str(error)


class _RowTexts:
    """Lines as texts; ``size`` are the bytes of those that belong to one row so far."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.size = 0
        self._lines = lines

    def __iter__(self) -> _RowTexts:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.size += len(line)
        if self.size > MAX_ROW_BYTES:
            raise csv.Error(f"more than {MAX_ROW_BYTES} bytes")
        return line.decode("utf-8", "ignore").replace("\0", "")


def _names(header: bytes) -> list[str]:
    text = header.decode("utf-8-sig", "replace").replace("\0", "").strip("\r\n").replace("\r", " ")
    return next(csv.reader([text], delimiter=_delimiter(header)), [])


def _delimiter(header: bytes) -> str:
    return max(",;\t|", key=header.decode("utf-8", "replace").count)
