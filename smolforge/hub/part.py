"""The part of a file that has arrived: it grows, knows its digest, and outlives the process that wrote it.

Input: blocks of bytes and, from an earlier attempt, what lies on the disk. Output: a file with a known digest.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType

from smolforge.hub.remote import RemoteFile

BLOCK = 1 << 20


class Part:
    """An open part of ``file`` at ``path``. ``size``: bytes that are here."""

    def __init__(self, path: Path, file: RemoteFile) -> None:
        """Open or begin it; what an earlier attempt left is read once, for the digest."""
        self._file = file
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a+b")
        self._stream.seek(0)
        self._begin()
        while block := self._stream.read(BLOCK):
            self._hash.update(block)
            self.size += len(block)

    def _begin(self) -> None:
        self.size = 0
        # git names a small file by SHA-1 over a header and its bytes (git-scm.com/book, "Git Objects")
        by_git = len(self._file.digest) == 40
        self._hash = hashlib.sha1(usedforsecurity=False) if by_git else hashlib.sha256()
        if by_git:
            self._hash.update(b"blob %d\0" % self._file.size)

    def write(self, block: bytes) -> None:
        """Add bytes at the end."""
        self._stream.write(block)
        self._hash.update(block)
        self.size += len(block)

    def restart(self) -> None:
        """Forget all bytes."""
        self._stream.truncate(0)
        self._begin()

    @property
    def whole(self) -> bool:
        """Whether as many bytes are here as were announced, or more."""
        return self.size >= self._file.size

    @property
    def right(self) -> bool:
        """Whether the bytes are those that were announced."""
        return self.size == self._file.size and self._hash.hexdigest() == self._file.digest

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
