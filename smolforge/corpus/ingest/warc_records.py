"""The records of a WARC file as bytes, with the place each begins at; damage costs what it hit and nothing else.

Input: an open ``.warc``, ``.warc.gz`` or ``.warc.zst`` file and a byte range. Output: records, and for every stretch
that is no whole record where it lies and what is wrong. Format: WARC 1.1 (ISO 28500:2017), Annex D for gzip members.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from smolforge.corpus.ingest.packed import CHUNK_BYTES, unpack

MAX_RECORD_BYTES = 32 << 20  # header and block of one record
_MAX_HEADER_BYTES = 64 << 10
_MAGIC = b"WARC/1."
_GZIP = b"\x1f\x8b\x08"
_BEGIN = re.compile(rb"WARC/1\.[0-9]\r?\n[A-Za-z-]{4,60}:")  # where reading goes on after damage
_BEGIN_BYTES = 72
_HEAD_BYTES = 4096  # of a gzip member, enough to see what it unpacks to
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A record, or damage: ``problem`` is empty for a whole record. ``byte`` is where it begins in the file (for
    a packed file where its member begins; ``inner`` counts on from there in unpacked bytes)."""

    byte: int
    inner: int
    data: bytes = b""
    problem: str = ""


def records(file: BinaryIO, packing: str, first: int, last: int, begins: int = 0) -> Iterator[Found]:
    """Yield what begins in the bytes from ``first`` up to ``last``.

    gzip: a range owns the members that begin in it. zstd: one stream, and the range counts its unpacked bytes, of which
    ``begins`` came before a spilled piece.
    """
    if packing == "gzip":
        yield from _members(file, first, last)
        return
    start = first if packing == "" else begins
    stream = unpack(file, packing)
    if packing == "":
        file.seek(first)
    torn: list[str] = []

    def read(size: int) -> bytes:
        try:
            return stream.read1(size)  # type: ignore[attr-defined, no-any-return]  # what precedes a tear is not lost
        except OSError as error:
            torn.append(str(error))
            return b""

    end = start
    for found in cut_records(read, aligned=packing != "" or start == 0):
        if start + found.inner >= last:
            return
        if start + found.inner >= first:
            yield Found(start + found.inner, 0, found.data, found.problem)
        end = start + found.inner + len(found.data)
    if torn:
        yield Found(end, 0, problem=torn[0])


def _members(file: BinaryIO, first: int, last: int) -> Iterator[Found]:
    position: int | None = first
    if first > 0:
        position = _next_member(file, first, last)
    while position is not None and position < last:
        member = _Member(file, position)
        if member.is_end:
            return
        problem = ""
        for found in cut_records(member.read, aligned=True):
            problem = found.problem
            yield Found(position, found.inner, found.data, found.problem)
        if member.problem and not problem:
            yield Found(position, 0, problem=member.problem)
        position = _next_member(file, position + 1, last) if member.problem else member.end


def _next_member(file: BinaryIO, start: int, last: int) -> int | None:
    """Return where the first gzip member at or after ``start`` begins that unpacks to a WARC record."""
    while start < last:
        file.seek(start)
        window = file.read(min(CHUNK_BYTES, last - start) + len(_GZIP) - 1)
        if not window:
            return None
        at = window.find(_GZIP)
        while at >= 0:
            try:
                file.seek(start + at)
                if zlib.decompressobj(31).decompress(file.read(_HEAD_BYTES), len(_MAGIC)) == _MAGIC:
                    return start + at
            except zlib.error:
                pass
            at = window.find(_GZIP, at + 1)
        start += CHUNK_BYTES
    return None


class _Member:
    """One gzip member as a stream. ``end`` is where the next begins; ``problem`` says what broke the stream off."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self.end, self.problem = start, ""
        self._file, self._unpacker, self._input = file, zlib.decompressobj(31), b""
        file.seek(start)

    @property
    def is_end(self) -> bool:
        """Whether the file ends where this member would begin."""
        self._input = self._input or self._file.read(CHUNK_BYTES)
        return not self._input

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes, none at the end or where the member is damaged."""
        while not self._unpacker.eof and not self.problem:
            self._input = self._input or self._file.read(CHUNK_BYTES)
            at_end = not self._input
            try:
                block = self._unpacker.decompress(self._input, size)
            except zlib.error as error:
                self.problem = f"damaged gzip member ({str(error).rpartition(': ')[2]})"
                break
            self._input = self._unpacker.unconsumed_tail
            if self._unpacker.eof:
                self.end = self._file.tell() - len(self._unpacker.unused_data)
            if block:
                return block
            if at_end and not self._unpacker.eof:
                self.problem = "the file ends inside a gzip member"
        return b""


def cut_records(read: Callable[[int], bytes], *, aligned: bool) -> Iterator[Found]:
    """Cut a stream into records. Where one is not whole, reading goes on where the next seems to begin;
    a stream that is not ``aligned`` begins somewhere inside one."""
    window = _Window(read)
    if not aligned and not window.seek_record(0):
        return
    while window.skip_blank():
        if not window.startswith(_MAGIC):
            yield Found(0, window.position, problem="no WARC record begins here")
            if not window.seek_record(1):
                return
            continue
        size, problem = _record_size(window)
        if problem:
            yield Found(0, window.position, problem=problem)
            if not window.seek_record(1):
                return
            continue
        yield Found(0, window.position, window.take(size))


def _record_size(window: _Window) -> tuple[int, str]:
    """Return how many bytes the record at the window has, or what is wrong with it."""
    end, mark = window.find_header()
    if end < 0:
        return 0, f"a WARC header of more than {_MAX_HEADER_BYTES} bytes or without end"
    stated = _LENGTH.search(window.peek(end))
    if stated is None:
        return 0, "a WARC header without a valid Content-Length"
    size = end + mark + int(stated[1])
    if size > MAX_RECORD_BYTES:
        return 0, f"a record of {size} bytes, more than {MAX_RECORD_BYTES}"
    if not window.need(size):
        return 0, f"torn record: {window.left} of {size} bytes"
    window.need(size + 4)
    after = window.after(size)
    following = after.lstrip(b"\r\n")  # some writers end a record with fewer line ends than two
    if not after.startswith(b"\r\n\r\n") and not following.startswith(_MAGIC[: len(following)]):
        return 0, "Content-Length does not lead to the next record"
    return size, ""


class _Window:
    """Bytes of a stream from ``position`` on, as many as were needed."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.position = 0
        self._read, self._data, self._at, self._ended = read, b"", 0, False

    @property
    def left(self) -> int:
        """How many bytes are held."""
        return len(self._data) - self._at

    def need(self, count: int) -> bool:
        """Hold at least ``count`` bytes; False where the stream ends before."""
        if self.left >= count or self._ended:
            return self.left >= count
        parts, held = [self._data[self._at :]], self.left
        while held < count:
            block = self._read(max(CHUNK_BYTES, min(count - held, 1 << 20)))
            if not block:
                self._ended = True
                break
            parts.append(block)
            held += len(block)
        self._data, self._at = b"".join(parts), 0
        return held >= count

    def startswith(self, mark: bytes) -> bool:
        self.need(len(mark))
        return self._data.startswith(mark, self._at)

    def peek(self, count: int) -> bytes:
        return self._data[self._at : self._at + count]

    def after(self, count: int) -> bytes:
        """Return the bytes held behind ``count``, a few."""
        return self._data[self._at + count : self._at + count + 16]

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes and go on behind them."""
        data = self.peek(count)
        self._at += count
        self.position += count
        return data

    def skip_blank(self) -> bool:
        """Go to the next byte that is no line end; False at the end of the stream."""
        while self.need(1):
            if self._data[self._at] not in b"\r\n":
                return True
            self.take(1)
        return False

    def find_header(self) -> tuple[int, int]:
        """Return where the header at the window ends and how many bytes its end mark has; -1 where it does not, or
        where another record begins before that (so that each byte is looked at a few times at most)."""
        for count in (4096, _MAX_HEADER_BYTES):
            self.need(count)
            other = _BEGIN.search(self._data, self._at + 1, self._at + count)
            limit = other.start() if other else self._at + count
            for mark in (b"\r\n\r\n", b"\n\n"):
                end = self._data.find(mark, self._at, limit)
                if end >= 0:
                    return end - self._at, len(mark)
            if other:
                break
        return -1, 0

    def seek_record(self, skip: int) -> bool:
        """Go to where, ``skip`` bytes on or later, a record begins; False where none does."""
        self.take(skip)
        more = True
        while more or self.left:
            more = self.need(max(self.left, _BEGIN_BYTES) + 1)
            match = _BEGIN.search(self._data, self._at)
            if match:
                self.take(match.start() - self._at)
                return True
            self.take(max(self.left - _BEGIN_BYTES, 0) if more else self.left)
        return False
