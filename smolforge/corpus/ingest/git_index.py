"""The index of a git checkout: which files are tracked, read without running git (a checkout may configure programs
that git would run).

Input: a working tree. Output: the paths of its regular files in the index. Format: gitformat-index(5), versions 2 to 4.
"""

from __future__ import annotations

import struct
from pathlib import Path

from smolforge.errors import DataError

_STAT_BYTES = 40  # times, device, inode, mode, owner, size
_REGULAR = 0o100000
_MAX_INDEX_BYTES = 1 << 30


def git_folder(root: Path) -> Path:
    """Return where the repository of a working tree lies. DataError where ``root`` is no checkout."""
    place = root / ".git"
    if place.is_dir():
        return place
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{root}: not the top folder of a git checkout ('.git' is missing)") from None
    folder = root / text.removeprefix("gitdir:").strip()
    if not text.startswith("gitdir:") or not folder.is_dir():
        raise DataError(f"{place}: expected 'gitdir: PATH' with the path of a folder")
    return folder


def tracked_files(root: Path) -> list[str]:
    """Return the paths of tracked regular files, sorted; links and submodules are none. DataError for a torn index."""
    path = git_folder(root) / "index"
    try:
        if path.stat().st_size > _MAX_INDEX_BYTES:
            raise DataError(f"{path}: more than {_MAX_INDEX_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror}); a bare repository has no files to read") from None
    if data[:4] != b"DIRC" or len(data) < 12:
        raise DataError(f"{path}: byte 0: not a git index")
    version, count = struct.unpack(">2I", data[4:12])
    if version not in (2, 3, 4):
        raise DataError(f"{path}: git index version {version}, expected 2, 3 or 4")
    try:
        return sorted(_paths(data, version, count))
    except (struct.error, ValueError, IndexError):
        raise DataError(f"{path}: torn git index; run 'git status' in the checkout") from None


def _paths(data: bytes, version: int, count: int) -> set[str]:
    found: set[str] = set()
    at, previous = 12, b""
    for _ in range(count):
        start = at
        (mode,) = struct.unpack_from(">I", data, at + 24)
        (flags,) = struct.unpack_from(">H", data, at + _STAT_BYTES + 20)
        at += _STAT_BYTES + 20 + (4 if version >= 3 and flags & 0x4000 else 2)
        if version == 4:
            dropped, at = _varint(data, at)
            end = data.index(b"\0", at)
            name = previous[: len(previous) - dropped] + data[at:end]
            at, previous = end + 1, name
        else:
            end = data.index(b"\0", at)
            name = data[at:end]
            at = start + (end - start + 8) // 8 * 8
        if mode & 0o170000 == _REGULAR:
            found.add(name.decode("utf-8", "surrogateescape"))
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (number, next byte) of git's offset encoding: every further byte adds one before it shifts."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1
