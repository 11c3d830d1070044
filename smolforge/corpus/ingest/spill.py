"""Large files that can only be read from their beginning, copied once into pieces that many workers read side by side.

Input: an open file of packed JSON lines, of CSV, or a WARC packed with zstd. Output: pieces of whole rows, packed with
zstd, with the numbers of their first and last rows, so that a row keeps its number, and with what tore the file. Rows
are not judged here. Packed again, a file that unpacks to a thousand times its size takes no more room than it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from smolforge.corpus.ingest.csv_file import raw_lines, read_cells, read_header
from smolforge.corpus.ingest.jsonl import bounded_lines
from smolforge.corpus.ingest.packed import unpack
from smolforge.corpus.ingest.warc import DAMAGED
from smolforge.corpus.ingest.warc_records import MAX_RECORD_BYTES, cut_records

PACKING = "zstd"
_LEVEL = 1
Torn = tuple[str, str, str]


@dataclass(frozen=True)
class Spilled:
    """Rows ``first`` up to ``last`` of a file, in ``path``: lines, rows of a table, or unpacked bytes of a WARC.

    ``size`` is in bytes, unpacked. ``torn``: position, reason and detail of what breaks the file off behind these rows.
    """

    path: str
    first: int
    last: int
    size: int
    torn: Torn | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Spilled:
        """Read back what ``dataclasses.asdict`` and JSON made of one."""
        return cls(**value | {"torn": tuple(value["torn"]) if value["torn"] else None})


def spill(file: BinaryIO, reader: str, packing: str, folder: Path, target: int) -> list[Spilled]:
    """Copy a file into pieces of about ``target`` bytes below ``folder``: at least one, which may be empty."""
    source, pieces = _Source(unpack(file, packing)), _Pieces(folder, target)
    torn = _COPIES[reader](source, pieces)
    *whole, end = pieces.close()
    return [*whole, replace(end, torn=torn)]


class _Source:
    """A stream until it ends or is torn. What goes wrong in writing is another matter, and not caught here."""

    def __init__(self, stream: BinaryIO) -> None:
        self.torn = ""
        self._stream = stream

    def lines(self, read: Callable[[BinaryIO], Iterator[bytes]]) -> Iterator[bytes]:
        try:
            yield from read(self._stream)
        except OSError as error:
            self.torn = str(error)

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes, none at the end and where the stream is torn."""
        try:
            return self._stream.read1(size)  # type: ignore[attr-defined, no-any-return]
        except OSError as error:
            self.torn = str(error)
            return b""


def _copy_lines(source: _Source, pieces: _Pieces) -> Torn | None:
    for _ in pieces.copied(source.lines(bounded_lines)):
        pieces.end_row()
    return (f"after line{pieces.row}", "torn file", source.torn) if source.torn else None


def _copy_table(source: _Source, pieces: _Pieces) -> Torn | None:
    pieces.head = next(source.lines(lambda stream: iter((read_header(stream),))), b"")
    for _ in read_cells(pieces.copied(source.lines(raw_lines)), pieces.head):
        if not source.torn:  # what is left of a row before a tear is none
            pieces.end_row()
    return (f"after row{pieces.row}", "torn file", source.torn) if source.torn else None


def _copy_records(source: _Source, pieces: _Pieces) -> Torn | None:
    """A piece ends between two whole records, so that what is damaged keeps what stands around it. (A record whose
    length is a lie may claim more than its piece has, and is called torn.)"""
    held, copied = bytearray(), 0  # what was read and not copied yet, and how much was

    def copy(count: int) -> int:
        pieces.write(bytes(held[:count]))
        del held[:count]
        return count

    def read(size: int) -> bytes:
        nonlocal copied
        if len(held) > 2 * MAX_RECORD_BYTES:  # nothing but damage
            copied += copy(len(held))
        block = source.read(size)
        held.extend(block)
        return block

    end, whole = 0, True
    for found in cut_records(read, aligned=True):
        if found.data and whole and found.inner >= copied:
            copied += copy(found.inner - copied)
            pieces.end_row(copied - pieces.row)
        end, whole = found.inner + len(found.data), bool(found.data)
    copied += copy(len(held))
    pieces.end_row(copied - pieces.row)
    return (f"byte{end}", DAMAGED, source.torn) if source.torn else None


_COPIES: dict[str, Callable[[_Source, _Pieces], Torn | None]] = {
    "jsonl": _copy_lines,
    "csv": _copy_table,
    "warc": _copy_records,
}


class _Pieces:
    """Writes lines, and begins another file where a row ends beyond ``target`` bytes. ``head`` begins each of them."""

    def __init__(self, folder: Path, target: int) -> None:
        self.head = b""
        self._folder, self._target = folder, target
        self._found: list[Spilled] = []
        self.row = self._first = self._size = 0
        self._out: Any = None

    def copied(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the lines as they are written."""
        for line in lines:
            self.write(line)
            yield line

    def end_row(self, count: int = 1) -> None:
        """Note that what was written ends a row (or as many): a piece may end here."""
        self.row += count
        if self._size >= self._target:
            self._end_piece()

    def close(self) -> list[Spilled]:
        """Return the pieces. Lines behind the last whole row are no piece, unless there is no other."""
        if not self._found and self._out is None:
            self.write(b"")
        if self._out is not None:
            self._end_piece()
        *others, last = self._found
        return self._found if last.first < last.last or not others else others

    def write(self, line: bytes) -> None:
        """Copy a line, or some of it."""
        if self._out is None:
            import zstandard

            file = (self._folder / f"{len(self._found):05d}.zst").open("wb")
            self._out = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file)
            self._out.write(self.head)
        self._out.write(line)
        self._size += len(line)

    def _end_piece(self) -> None:
        self._out.close()
        path = self._folder / f"{len(self._found):05d}.zst"
        self._found.append(Spilled(str(path), self._first, self.row, self._size))
        self._first, self._size, self._out = self.row, 0, None
