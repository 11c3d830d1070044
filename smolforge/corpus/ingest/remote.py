"""Where files lie: on this machine, or behind an address that ``fsspec`` understands (``s3://``, ``hf://``, ...).

Input: a path or address. Output: its files with their sizes, opened for reading. Nothing is fetched unless a recipe
names an address.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from smolforge.errors import DataError, MissingDependencyError, NetworkError

_PROVIDERS = {"s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp"}
_PROVIDERS |= {"https": "aiohttp", "az": "adlfs", "abfs": "adlfs", "ssh": "paramiko", "sftp": "paramiko"}
BLOCK_BYTES = 4 << 20
WAITS = (1.0, 4.0, 16.0)  # seconds before a read is tried again


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
    """Open a file for reading bytes; it can seek. OSError where that is not possible; NetworkError for a remote file
    that cannot be read, now or at a later read: what a network does is no damage of the file."""
    return io.BufferedReader(_RemoteFile(path), BLOCK_BYTES) if is_remote(path) else Path(path).open("rb")


class _RemoteFile(io.RawIOBase):
    """A file behind an address; a read that fails is tried again, with the file opened anew."""

    def __init__(self, path: str) -> None:
        self._path, self._at = path, 0
        self._system, self._inner = _system(path)
        self._file: Any = None
        self._size = int(self._patiently(lambda: self._system.info(self._inner)["size"]) or 0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self._patiently(lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _read(self, size: int) -> bytes:
        if self._file is None:
            self._file = self._system.open(self._inner, "rb", block_size=BLOCK_BYTES)
        self._file.seek(self._at)
        return cast(bytes, self._file.read(size))

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _patiently(self, work: Callable[[], Any]) -> Any:
        for wait in WAITS:
            try:
                return work()
            except FileNotFoundError:
                raise
            except Exception:  # every file system has errors of its own
                self._drop()
                time.sleep(wait)
        try:
            return work()
        except Exception as error:
            said = error or type(error).__name__
            raise NetworkError(
                f"'{self._path}' cannot be read ({said}); run again when it can: finished pieces are kept"
            ) from None
