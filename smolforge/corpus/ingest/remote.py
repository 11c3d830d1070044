"""Where files lie: on this machine, or behind an address that ``fsspec`` understands (``s3://``, ``hf://``, ...).

Input: a path or address. Output: its files with their sizes, opened for reading. Nothing is fetched unless a recipe
names an address.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from smolforge.errors import DataError, MissingDependencyError

_PROVIDERS = {"s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp"}
_PROVIDERS |= {"https": "aiohttp", "az": "adlfs", "abfs": "adlfs", "ssh": "paramiko", "sftp": "paramiko"}
BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class StoredFile:
    """A file of a source: ``name`` below its root (with slashes), size in bytes, and a mark that a change changes."""

    name: str
    size: int
    mark: str = ""


def is_remote(path: str) -> bool:
    """Return whether a path is an address of ``fsspec``."""
    return "://" in path


def _system(path: str) -> tuple[Any, str]:
    """Return the file system of an address and the path inside it. MissingDependencyError names the package."""
    protocol = path.split("://", 1)[0]
    try:
        import fsspec  # type: ignore[import-untyped]

        return cast(tuple[Any, str], fsspec.core.url_to_fs(path))
    except ImportError as error:
        purpose = f"reading {protocol}:// addresses"
        if error.name == "fsspec":
            raise MissingDependencyError("fsspec", "data", purpose) from None
        raise MissingDependencyError(_PROVIDERS.get(protocol, protocol), "", purpose) from None
    except ValueError as error:
        raise DataError(f"corpus.sources: '{path}': {error}") from None


def list_remote(path: str) -> list[StoredFile]:
    """Return the files at or below an address in name order. DataError where there are none or it cannot be reached."""
    system, root = _system(path)
    try:
        found = system.find(root, detail=True)
    except Exception as error:  # every file system has errors of its own
        raise DataError(f"corpus.sources: '{path}' cannot be listed ({error or type(error).__name__})") from None
    files = [
        StoredFile(name.removeprefix(root).lstrip("/") or name.rsplit("/", 1)[-1], int(info["size"] or 0), _mark(info))
        for name, info in found.items()
    ]
    if not files:
        raise DataError(f"corpus.sources: '{path}' does not exist or is empty")
    return sorted(files, key=lambda file: file.name)


def _mark(info: dict[str, Any]) -> str:
    stated = (info.get(key) for key in ("ETag", "etag", "blob_id", "md5", "mtime", "LastModified", "created"))
    return next((str(value) for value in stated if value), "")


def join(root: str, name: str) -> str:
    """Return the path of a file below a root; a root that is a file is the path itself."""
    if is_remote(root):
        return root if root.rstrip("/").rsplit("/", 1)[-1] == name else f"{root.rstrip('/')}/{name}"
    path = Path(root).expanduser()
    return str(path / name) if path.is_dir() else str(path)


def open_file(path: str) -> BinaryIO:
    """Open a file for reading bytes; it can seek. OSError where that is not possible."""
    if not is_remote(path):
        return Path(path).open("rb")
    system, inner = _system(path)
    return cast(BinaryIO, io.BufferedReader(system.open(inner, "rb", block_size=BLOCK_BYTES), BLOCK_BYTES))
