"""safetensors files without torch: read through a memory map with every offset checked, and written atomically.

In: a path, or named arrays. Out: NumPy arrays (BF16 as float32, which holds it exactly), or one file. Format: 8 bytes
of header length, a JSON header, then the tensors' bytes without gaps (github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError, nearest
from smolforge.formats.blocks import decode_bf16, encode_bf16
from smolforge.formats.gguf_read import map_file, release_pages
from smolforge.store.atomic import write_atomic

MAX_HEADER = 100_000_000  # the reference implementation's limit
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: ``start`` is a byte offset in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


class SafetensorsFile:
    """An open file. ``entries``: name → Entry; ``metadata``: the string pairs of ``__metadata__``."""

    def __init__(self, path: Path) -> None:
        """Map and check the file; FormatError names the file and the tensor at fault."""
        self.path = path
        self._data = map_file(path)
        header, start = self._header()
        self.metadata: dict[str, str] = header.pop("__metadata__", {})
        if not isinstance(self.metadata, dict) or not all(isinstance(value, str) for value in self.metadata.values()):
            raise self._fail("__metadata__ must be an object of strings")
        self.entries = {name: self._entry(name, value, start) for name, value in header.items()}
        end = start
        for name, entry in sorted(self.entries.items(), key=lambda item: (item[1].start, item[1].size)):
            if entry.start != end:
                raise self._fail(f"tensor '{name[:80]}' starts at byte {entry.start}, expected {end}")
            end = entry.start + entry.size
        if end != len(self._data):
            raise self._fail(f"not a whole safetensors file: {len(self._data)} bytes, header and tensors take {end}")

    def _fail(self, problem: str) -> FormatError:
        return FormatError(f"{self.path}: {problem}")

    def _header(self) -> tuple[dict[str, Any], int]:
        if len(self._data) < 8:
            raise self._fail("not a safetensors file (fewer than 8 bytes)")
        (length,) = struct.unpack("<Q", self._data[:8])
        if length > min(MAX_HEADER, len(self._data) - 8):
            raise self._fail(f"not a whole safetensors file: a header of {length} bytes does not fit the file")
        try:
            header = json.loads(self._data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError) as error:
            raise self._fail(f"the header is not valid JSON ({error})") from None
        if not isinstance(header, dict):
            raise self._fail("the header is not a JSON object")
        return header, 8 + length

    def _entry(self, name: str, value: Any, start: int) -> Entry:
        where = f"tensor '{name[:80]}'"
        if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
            raise self._fail(f"{where}: expected dtype, shape and data_offsets")
        dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(dtype, str) or dtype not in _DTYPES:
            raise self._fail(f"{where}: type {str(dtype)[:20]!r} is not supported")
        if not (_counts(shape) and _counts(offsets) and len(offsets) == 2 and len(shape) <= 32):
            raise self._fail(f"{where}: shape and data_offsets must be lists of whole numbers")
        size = math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
        if offsets[1] - offsets[0] != size or start + offsets[1] > len(self._data):
            bounds = f"bytes {offsets[0]} to {offsets[1]} do not hold {size} bytes of this file"
            raise self._fail(f"not a whole safetensors file: {where}: {bounds}")
        return Entry(dtype, tuple(shape), start + offsets[0], size)

    def entry(self, name: str) -> Entry:
        """Where a tensor lies; FormatError with the nearest name if there is none."""
        if name not in self.entries:
            raise self._fail(f"no tensor '{name}'{nearest(name, self.entries)}")
        return self.entries[name]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The stored bytes of a tensor: a read-only view of the mapping, shape (size,)."""
        entry = self.entry(name)
        return np.frombuffer(self._data, np.uint8, entry.size, entry.start)

    def release(self, name: str) -> None:
        """Tell the system that a tensor's pages are not needed soon, so that they stop counting as resident."""
        entry = self.entry(name)
        release_pages(self._data, entry.start, entry.size)

    def array(self, name: str) -> NDArray[Any]:
        """One tensor: a read-only view of the mapping, or for BF16 a float32 copy. FormatError for an unknown name."""
        entry = self.entry(name)
        dtype = np.dtype(_DTYPES[entry.dtype])
        flat = np.frombuffer(self._data, dtype, entry.size // dtype.itemsize, entry.start)
        if entry.dtype == "BF16":
            return decode_bf16(flat.copy().view(np.uint8).reshape(-1, 2)).reshape(entry.shape)
        return flat.reshape(entry.shape)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def write_safetensors(
    path: Path, arrays: Mapping[str, NDArray[Any]], *, bf16: bool = False, metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays atomically; with ``bf16``, float32 arrays are stored as BF16 (rounded to nearest even)."""
    names = {np.dtype(code): name for name, code in _DTYPES.items() if name != "BF16"}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    bodies, offset = [], 0
    for name, array in arrays.items():
        little = array.dtype.newbyteorder("<")
        if little not in names:
            raise FormatError(f"{path}: tensor '{name}': NumPy {array.dtype} cannot be stored")
        as_bf16 = bf16 and little == np.dtype("<f4")
        flat = np.ascontiguousarray(array, little).reshape(-1, 1)
        body = (encode_bf16(flat) if as_bf16 else flat).tobytes()
        offsets = [offset, offset + len(body)]
        kind = "BF16" if as_bf16 else names[little]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        bodies.append(body)
        offset += len(body)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    write_atomic(path, struct.pack("<Q", len(text)) + text + b"".join(bodies))
