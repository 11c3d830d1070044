"""Packed weights saved once and mapped ever after: one safetensors file of U8 tensors, 64-byte aligned.

In: packed tensors as they are made, and what else a start needs (config, tokenizer, template). Out: the same, mapped. A
file is found by a digest of its source; a torn or foreign one is ignored and written anew. Layouts do not depend on
the instruction set, so one file serves every CPU. Place: ``$SMOLFORGE_CACHE``, else ``~/.cache/smolforge``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.engine import _native
from smolforge.errors import ConfigError, FormatError
from smolforge.formats.safetensors_io import SafetensorsFile
from smolforge.store.atomic import fsync_path, part_path
from smolforge.store.cache import cache_folder
from smolforge.store.digest import DIGEST_BYTES, digest_json

LAYOUT_VERSION = 1  # raise with every change of a packed layout (native/packed.h)
ALIGNMENT = 64
HEADER_RESERVE = 256  # bytes of header a tensor may take
CACHE_LIMIT = "SMOLFORGE_CACHE_LIMIT_GB"
DEFAULT_LIMIT_GB = 32.0
_SAMPLES, _SAMPLE = 64, 4096  # pieces of a source that its digest reads
_EDGE = 1 << 16
_PART = re.compile(r"\.(\d+)(\.[0-9a-f]{12})?\.part$")  # the writer's process; see store/atomic.py
_QUIET, _DAY = 60.0, 86_400.0  # seconds without a write: of a part whose writer is gone, of any part

Tensors = dict[str, "_native.Packed | NDArray[np.float32]"]


@dataclass(frozen=True)
class Bundle:
    """All that a start needs. ``facts``: JSON (config, template, special ids); ``digest``: of the packed weights."""

    tensors: Tensors
    facts: dict[str, Any]
    tokenizer: bytes
    digest: str


def source_digest(files: Iterable[Path], options: Mapping[str, Any]) -> str:
    """Return a digest of source files: name, size, time, both ends and evenly spread samples of each; milliseconds.

    A file that is replaced, or written into by ordinary means, changes size or time; the samples guard copies that
    keep both.
    """
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    state.update(json.dumps({"layout": LAYOUT_VERSION, **options}, sort_keys=True).encode())
    for path in files:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            state.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
            state.update(stream.read(_EDGE))
            places = {status.st_size * i // _SAMPLES for i in range(_SAMPLES)} if status.st_size > _EDGE else set()
            for place in sorted(places):
                stream.seek(place)
                state.update(stream.read(_SAMPLE))
            stream.seek(max(0, status.st_size - _EDGE))
            state.update(stream.read(_EDGE))
    return state.hexdigest()


def packed_path(name: str, digest: str) -> Path:
    """Where the packed weights of a source lie."""
    return cache_folder() / "packed" / f"{name[:80]}-{digest}.safetensors"


class PackedWriter:
    """Writes tensors as they come; ``finish`` makes the file whole, anything else leaves none."""

    def __init__(self, path: Path, n_tensors: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part = part_path(path)
        self._stream = self._part.open("wb")
        self._header_bytes = -(-(HEADER_RESERVE * (n_tensors + 8)) // ALIGNMENT) * ALIGNMENT - 8
        self._stream.seek(8 + self._header_bytes)
        self._entries: dict[str, Any] = {}
        self._tensors: dict[str, list[Any]] = {}
        self._offset = 0

    def add(self, name: str, tensor: _native.Packed | NDArray[np.float32]) -> None:
        """Append one tensor."""
        if isinstance(tensor, np.ndarray):
            self._tensors[name] = ["float", len(tensor), 1, tensor.nbytes]
            self._append(name, np.ascontiguousarray(tensor, "<f4").view(np.uint8))
        else:
            self._tensors[name] = [tensor.kind, tensor.rows, tensor.cols, tensor.nbytes]
            self._append(name, tensor.buffer())

    def _append(self, name: str, data: NDArray[np.uint8]) -> None:
        room = -(-data.size // ALIGNMENT) * ALIGNMENT
        self._stream.write(data.data)
        self._stream.write(bytes(room - data.size))
        offsets = [self._offset, self._offset + room]
        self._entries[name] = {"dtype": "U8", "shape": [room], "data_offsets": offsets}
        self._offset += room

    def finish(self, facts: Mapping[str, Any], tokenizer: bytes, source: str, digest: str) -> None:
        """Write the tokenizer and the header, flush, and put the file in its place."""
        self._append("tokenizer.json", np.frombuffer(tokenizer, np.uint8))
        body = np.frombuffer(json.dumps({"tensors": self._tensors, "facts": dict(facts)}).encode(), np.uint8)
        self._append("facts.json", body)
        sizes = {"tokenizer": str(len(tokenizer)), "facts": str(body.size)}
        metadata = {"smolforge_packed": str(LAYOUT_VERSION), "source": source, "digest": digest, **sizes}
        header = json.dumps({"__metadata__": metadata, **self._entries}, separators=(",", ":")).encode()
        assert len(header) <= self._header_bytes, "HEADER_RESERVE is too small"
        self._stream.seek(0)
        self._stream.write(struct.pack("<Q", self._header_bytes) + header.ljust(self._header_bytes))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.replace(self.path)
        fsync_path(self.path.parent)

    def abandon(self) -> None:
        """Remove what was written."""
        self._stream.close()
        self._part.unlink(missing_ok=True)


def open_packed(path: Path, source: str) -> Bundle | None:
    """Map the packed weights of the source with this digest; None if there are none, or the file is not whole."""
    if not path.is_file():
        return None
    try:
        file = SafetensorsFile(path)
        sizes = file.metadata
        if sizes.get("smolforge_packed") != str(LAYOUT_VERSION) or sizes.get("source") != source:
            return None
        tokenizer = file.raw("tokenizer.json")[: int(sizes["tokenizer"])].tobytes()
        saved = json.loads(file.raw("facts.json")[: int(sizes["facts"])].tobytes())
        tensors = {name: _view(file.raw(name), *row) for name, row in saved["tensors"].items()}
        with suppress(OSError):  # a cache that may only be read serves as well
            os.utime(path)  # when it was last used, for the size limit
        return Bundle(tensors, saved["facts"], tokenizer, sizes["digest"])
    except (FormatError, KeyError, TypeError, ValueError, OSError):
        return None  # it is made again


def _view(raw: NDArray[np.uint8], kind: str, rows: int, cols: int, size: int) -> Any:
    data = raw[:size]
    return data.view("<f4") if kind == "float" else _native.view(kind, rows, cols, data)


def digest_of(facts: Mapping[str, Any]) -> hashlib.blake2b:
    """Return the start of the digest that names a model's computation; the packed bytes are to be added in order."""
    start = digest_json({"layout": LAYOUT_VERSION, "config": facts["config"]})
    return hashlib.blake2b(start.encode(), digest_size=DIGEST_BYTES)


def writer(path: Path, shapes: Mapping[str, Any], n_bytes: int) -> PackedWriter | None:
    """Return a writer for the packed weights of a source; None where there is no room or no right to write."""
    try:
        return PackedWriter(path, len(shapes)) if make_room(path.parent, n_bytes) else None
    except OSError:
        return None


def make_room(folder: Path, needed: int) -> bool:
    """Delete the packed files used longest ago until ``needed`` more bytes fit the limit; False if they never can.

    The limit is ``$SMOLFORGE_CACHE_LIMIT_GB`` (default 32), and half of what the disk has left. What killed
    writers left behind goes first.
    """
    limit = _limit_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(".*.part"):
        if _abandoned(part):
            part.unlink(missing_ok=True)
    if needed > limit or needed * 2 > shutil.disk_usage(folder).free:
        return False
    files = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime)
    used = sum(file.stat().st_size for file in files)
    for file in files:
        if used + needed <= limit:
            break
        used -= file.stat().st_size
        file.unlink(missing_ok=True)
    return True


def _abandoned(part: Path) -> bool:
    """Whether nobody writes this file any more. Another container's writer has no process here, so it has a minute."""
    with suppress(FileNotFoundError):
        quiet = time.time() - part.stat().st_mtime
        return quiet > (_QUIET if _writer_is_gone(part) else _DAY)
    return False


def _writer_is_gone(part: Path) -> bool:
    found = _PART.search(part.name)
    if found is None or os.name == "nt":  # there, signal 0 would end the process
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # another user's
        pass
    return False


def _limit_bytes() -> int:
    text = os.environ.get(CACHE_LIMIT, str(DEFAULT_LIMIT_GB))
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError):
        raise ConfigError(f"${CACHE_LIMIT}: '{text}' is not a number of gigabytes") from None
