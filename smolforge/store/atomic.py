"""Files that are either whole or absent: write beside, fsync, rename."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from smolforge.errors import DataError


def part_path(path: Path) -> Path:
    """Return where to write before renaming to ``path``: beside it, a name of this process and of no other writer."""
    return path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:12]}.part")


def fsync_path(path: Path) -> None:
    """Flush one file or folder entry to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Flush every file and folder below ``folder``, then ``folder`` itself."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            fsync_path(Path(root) / name)
        fsync_path(Path(root))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a place to write to, which is renamed to ``path`` after the block, or removed where that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(path)
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose bytes become ``path``, whole and on the disk, after the block; nothing where it fails."""
    with replacing(path) as part, part.open("xb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part."""
    with writing(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value atomically, two-space indented, keys in the order given, ending in a newline."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; a torn one is a DataError naming the file and the place."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error})") from None
