"""Tables as text: CSV and TSV with a header row, plain or packed.

Input: an open file and a range of rows. Output: rows; a row with another number of cells or a cell beyond all measure
is reported with the line it ends at and the rest is kept. Format: RFC 4180, with the delimiter of the header row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

from smolforge.corpus.ingest.jsonl import field_row
from smolforge.corpus.ingest.packed import unpack
from smolforge.corpus.rows import MAX_ROW_BYTES, Row, failed


def read_csv(file: BinaryIO, packing: str, ranges: tuple[tuple[int, int], ...], key: str | None) -> Iterator[Row]:
    """Yield the rows numbered in ``ranges`` (from 0, without the header row)."""
    csv.field_size_limit(MAX_ROW_BYTES)
    for first, last in ranges:
        file.seek(0)
        yield from _rows(unpack(file, packing), first, last, key)


def _rows(stream: BinaryIO, first: int, last: int, key: str | None) -> Iterator[Row]:
    number = -1
    try:
        header = stream.readline(MAX_ROW_BYTES)
        delimiter = max(",;\t|", key=header.decode("utf-8", "replace").count)
        first_line = header.decode("utf-8-sig", "replace").replace("\0", "").strip("\r\n").replace("\r", " ")
        if first == 0 and "\r" in header.decode("latin-1").strip("\r\n"):
            yield failed("line 1", "damaged CSV row", "a carriage return inside a row: rows end in LF or CR LF")
        names = next(csv.reader([first_line], delimiter=delimiter), [])
        table = csv.reader(_lines(stream), delimiter=delimiter)
        for number in range(last):
            try:
                cells = next(table)
            except csv.Error as error:
                if number >= first:
                    yield failed(f"row{number}", "damaged CSV row", f"line {table.line_num + 1}: {error}")
                table = csv.reader(_lines(stream), delimiter=delimiter)
                continue
            if number < first or not cells:
                continue
            if len(cells) != len(names):
                detail = f"{len(cells)} cells, expected {len(names)}"
                yield failed(f"row{number}", "damaged CSV row", detail)
            else:
                yield from field_row(dict(zip(names, cells, strict=True)), f"row{number}", key)
    except StopIteration:
        return
    except OSError as error:
        yield failed(f"after row{number}", "torn file", str(error))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Yield lines of bounded length: a longer one comes in pieces, which its cell then is too long for."""
    while line := stream.readline(MAX_ROW_BYTES + 1):
        yield line.decode("utf-8", "ignore").replace("\0", "")
