"""JSON lines, plain or packed: one object a line with its text under a known key.

Input: an open file and a range (bytes of a plain file, lines of a packed one). Output: rows; a line that is no such
object is reported with its place and the rest is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from smolforge.corpus.ingest.packed import unpack
from smolforge.corpus.rows import MAX_ROW_BYTES, Row, failed

TEXT_KEYS = ("text", "content")


def read_jsonl(
    file: BinaryIO, packing: str, ranges: tuple[tuple[int, int], ...], key: str | None, begins: int = 0
) -> Iterator[Row]:
    """Yield the rows of the lines in ``ranges``: lines of a packed file, else the lines that begin in those bytes.

    A plain line is named by the byte at which it begins (a range does not know the number of its first line), a
    packed one by its number, from 1. ``begins``: how many lines came before a piece of a packed file.
    """
    for first, last in ranges:
        if packing:
            file.seek(0)
            yield from _packed(unpack(file, packing), first, last, key, begins)
        else:
            yield from _plain(file, first, last, key)


def _plain(file: BinaryIO, first: int, last: int, key: str | None) -> Iterator[Row]:
    start = first
    if first:
        file.seek(first - 1)
        start += _finish_line(file) - 1
    while start < last and (line := file.readline(MAX_ROW_BYTES + 1)):
        size = len(line)
        if size > MAX_ROW_BYTES:
            size += _finish_line(file) if not line.endswith(b"\n") else 0
            yield failed(f"byte{start}", "line too long", f"{size} bytes, more than {MAX_ROW_BYTES}")
        else:
            yield from json_row(line, f"byte{start}", key)
        start += size


def _finish_line(file: BinaryIO) -> int:
    """Read to the end of the line; return how many bytes that were."""
    size = 0
    while block := file.readline(1 << 20):
        size += len(block)
        if block.endswith(b"\n"):
            break
    return size


def _packed(stream: BinaryIO, first: int, last: int, key: str | None, begins: int) -> Iterator[Row]:
    number = begins
    try:
        for line in islice(bounded_lines(stream), max(last - begins, 0)):
            number += 1
            if number <= first:
                continue
            if len(line) > MAX_ROW_BYTES:
                yield failed(f"line{number}", "line too long", f"more than {MAX_ROW_BYTES} bytes")
            else:
                yield from json_row(line, f"line{number}", key)
    except OSError as error:
        yield failed(f"after line{number}", "torn file", str(error))


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines with their ends; of one longer than ``MAX_ROW_BYTES`` a beginning that is longer, too."""
    while line := stream.readline(MAX_ROW_BYTES + 1):
        if len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            _finish_line(stream)
            line += b"\n"
        yield line


def json_row(line: bytes, position: str, key: str | None) -> Iterator[Row]:
    """Yield the row of a line, nothing for an empty one."""
    if not line.strip():
        return
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        yield failed(position, "not JSON", str(error))
        return
    if not isinstance(row, dict):
        yield failed(position, "no text", f"expected an object, not {type(row).__name__}")
        return
    yield from field_row(row, position, key)


def field_row(row: dict[str, Any], position: str, key: str | None) -> Iterator[Row]:
    """Yield the row of named fields: its text is under ``key``, or else the first of ``TEXT_KEYS`` that is there."""
    keys = (key,) if key else TEXT_KEYS
    text = next((row[name] for name in keys if isinstance(row.get(name), str)), None)
    if text is None:
        yield failed(position, "no text", f"expected a string under {' or '.join(map(repr, keys))}")
    elif len(text) > MAX_ROW_BYTES:
        yield failed(position, "text too long", f"{len(text)} characters, more than {MAX_ROW_BYTES}")
    else:
        # a lone surrogate is legal JSON but no text
        text = text.encode("utf-8", "ignore").decode().replace("\0", "")
        yield Row(position, text, {name: row[name] for name in _FIELDS if isinstance(row.get(name), str)})


_FIELDS = ("url", "licence", "license", "crawl_date", "date")
