"""Packed and mislabelled files: what a file is by its first bytes, and gzip and zstd read as a stream.

Input: an open file. Output: its kind, or a stream of its unpacked bytes in which no more than a few MB are held.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

_MAGIC = {
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"ARROW1": "Arrow",
    b"WARC/": "WARC",
    b"PK\x03\x04": "zip",
    b"%PDF": "PDF",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"\x7fELF": "an executable",
    b"SQLite format 3": "SQLite",
}
SNIFF_BYTES = 16
CHUNK_BYTES = 256 << 10
_ZSTD_INPUT = 256


def sniff(head: bytes) -> str:
    """Return what the first bytes of a file say it is; "" where they are nothing known (text, for instance)."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")


def unpack(file: BinaryIO, packing: str) -> BinaryIO:
    """Return the unpacked bytes of a file as a stream; ``packing`` is "gzip", "zstd" or "".

    Several members or frames are one stream. A torn or damaged file raises OSError once all before the damage is read.
    """
    if not packing:
        return file
    return io.BufferedReader(_Stream(gunzip(file) if packing == "gzip" else _unzstd(file)), CHUNK_BYTES)


class _Stream(io.RawIOBase):
    """Blocks of bytes as a file that is read forward."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._left = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def gunzip(file: BinaryIO) -> Iterator[bytes]:
    """Yield the unpacked bytes of all gzip members from where the file stands, in blocks of ``CHUNK_BYTES`` at most.

    Zeros after a member are padding. OSError for a member that is torn or damaged, after what came before it.
    """
    data = file.read(CHUNK_BYTES)
    while data:
        member = zlib.decompressobj(31)
        while not member.eof:
            try:
                block = member.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise OSError(f"gzip: {str(error).rpartition(': ')[2]}") from None
            if block:
                yield block
            data = member.unconsumed_tail or (b"" if member.eof else file.read(CHUNK_BYTES))
            if not data and not block and not member.eof:
                raise OSError("gzip: the file ends inside a member")
        data = (member.unused_data or file.read(CHUNK_BYTES)).lstrip(b"\0") or file.read(CHUNK_BYTES)


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    """Yield the unpacked bytes of all zstd frames. A block of 3 bytes may unpack to 128 KiB, so little goes in."""
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    data = file.read(_ZSTD_INPUT)
    while data:
        frame = unpacker.decompressobj()
        while not frame.eof:
            try:
                block = frame.decompress(data)
            except zstandard.ZstdError as error:
                raise OSError(f"zstd: {str(error).rpartition(': ')[2]}") from None
            if block:
                yield block
            if not frame.eof and not (data := file.read(_ZSTD_INPUT)):
                raise OSError("zstd: the file ends inside a frame")
        data = frame.unused_data or file.read(_ZSTD_INPUT)
