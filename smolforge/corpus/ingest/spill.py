"""Large files that can only be read from their beginning, copied once into pieces that many workers read side by side.

Input: an open file of packed JSON lines, or of CSV. Output: pieces of whole rows, packed with zstd, with the numbers of
their first and last rows, so that a row keeps its number, and with what tore the file. Rows are neither parsed nor
judged here. Packed again, a file that unpacks to a thousand times its size takes no more room than it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from smolforge.corpus.ingest.csv_file import raw_lines, read_cells, read_header
from smolforge.corpus.ingest.jsonl import bounded_lines
from smolforge.corpus.ingest.packed import unpack

PACKING = "zstd"
_LEVEL = 1


@dataclass(frozen=True)
class Spilled:
    """Rows ``first`` up to ``last`` of a file, in ``path``. ``size`` is in bytes, unpacked; ``torn`` says what breaks
    the file off behind these rows ("" where nothing does)."""

    path: str
    first: int
    last: int
    size: int
    torn: str = ""


def spill(file: BinaryIO, reader: str, packing: str, folder: Path, target: int) -> list[Spilled]:
    """Copy a file into pieces of about ``target`` bytes below ``folder``: at least one, which may be empty."""
    source, pieces = _Source(unpack(file, packing)), _Pieces(folder, target)
    if reader == "csv":
        pieces.head = next(source.lines(lambda stream: iter((read_header(stream),))), b"")
        for _ in read_cells(pieces.copied(source.lines(raw_lines)), pieces.head):
            if not source.torn:  # what is left of a row before a tear is none
                pieces.end_row()
    else:
        for _ in pieces.copied(source.lines(bounded_lines)):
            pieces.end_row()
    *whole, end = pieces.close()
    return [*whole, replace(end, torn=source.torn)]


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


class _Pieces:
    """Writes lines, and begins another file where a row ends beyond ``target`` bytes. ``head`` begins each of them."""

    def __init__(self, folder: Path, target: int) -> None:
        self.head = b""
        self._folder, self._target = folder, target
        self._found: list[Spilled] = []
        self._first = self._row = self._size = 0
        self._out: Any = None

    def copied(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the lines as they are written."""
        for line in lines:
            self._write(line)
            yield line

    def end_row(self) -> None:
        self._row += 1
        if self._size >= self._target:
            self._end_piece()

    def close(self) -> list[Spilled]:
        """Return the pieces. Lines behind the last whole row are no piece, unless there is no other."""
        if not self._found and self._out is None:
            self._write(b"")
        if self._out is not None:
            self._end_piece()
        *others, last = self._found
        return self._found if last.first < last.last or not others else others

    def _write(self, line: bytes) -> None:
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
        self._found.append(Spilled(str(path), self._first, self._row, self._size))
        self._first, self._size, self._out = self._row, 0, None
