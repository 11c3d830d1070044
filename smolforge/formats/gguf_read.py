"""Reading GGUF files that nobody vouches for: memory-mapped, every count, offset, size and string checked first.

In: a path. Out: a GGUFFile with metadata as Python values and tensors as views of the mapping or float32 arrays.
Whatever the bytes are, the only error is FormatError, naming file and key or tensor (format: ggml docs/gguf.md).
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError, nearest
from smolforge.formats.blocks import BLOCK_TYPES_BY_ID, UNREAD_TYPES, BlockType, dequantize

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 16
MAX_DIMENSIONS = 4
MAX_KEY_BYTES = 1 << 16
MAX_NAME_BYTES = 1 << 10


class ValueType(IntEnum):
    """The type numbers of metadata values."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


NUMBERS: dict[ValueType, np.dtype[Any]] = {
    ValueType.UINT8: np.dtype("u1"),
    ValueType.INT8: np.dtype("i1"),
    ValueType.UINT16: np.dtype("<u2"),
    ValueType.INT16: np.dtype("<i2"),
    ValueType.UINT32: np.dtype("<u4"),
    ValueType.INT32: np.dtype("<i4"),
    ValueType.FLOAT32: np.dtype("<f4"),
    ValueType.UINT64: np.dtype("<u8"),
    ValueType.INT64: np.dtype("<i8"),
    ValueType.FLOAT64: np.dtype("<f8"),
}
_SMALLEST_PAIR = 8 + 1 + 4 + 1  # key length, one byte of key, type, one byte of value
_SMALLEST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8  # name length, one byte of name, dimensions, one size, type, offset


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies. ``shape`` is NumPy order (rows last axis); ``start`` is a byte offset in the file."""

    name: str
    shape: tuple[int, ...]
    kind: BlockType
    start: int
    size: int


class _Cursor:
    """A place in the mapping that can only move forward and never past the end."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data, self.path, self.at, self.where = data, path, 0, "the header"

    def fail(self, problem: str) -> FormatError:
        return FormatError(f"{self.path}: {self.where}: {problem}")

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise self.fail(f"the file ends here: {count} bytes wanted, {self.left} left")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str) -> int:
        value: int = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]
        return value

    def string(self, limit: int | None = None) -> str:
        length = self.number("Q")
        if limit is not None and not 0 < length <= limit:
            raise self.fail(f"a name of {length} bytes (1 to {limit} are allowed)")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fail(f"text is not UTF-8 ({error.reason} at byte {error.start})") from None

    def count(self, code: str, smallest: int, what: str) -> int:
        """Read a count of things of at least ``smallest`` bytes each; refuse one the file cannot hold."""
        count = self.number(code)
        if count * smallest > self.left:
            raise self.fail(f"{count} {what} cannot fit in the {self.left} bytes left")
        return count


def _value_type(cursor: _Cursor) -> ValueType:
    number = cursor.number("I")
    try:
        return ValueType(number)
    except ValueError:
        raise cursor.fail(f"value type {number} is not known (0 to {max(ValueType)} are)") from None


def _bools(cursor: _Cursor, count: int) -> list[bool]:
    raw = cursor.take(count)
    if any(byte > 1 for byte in raw):
        raise cursor.fail("a boolean that is neither 0 nor 1")
    return [bool(byte) for byte in raw]


def _strings(cursor: _Cursor, count: int) -> list[str]:
    """Read ``count`` strings as ``cursor.string`` does; vocabularies hold 10^5 of them, so without a call for each."""
    data, at, end, texts = cursor.data, cursor.at, len(cursor.data), []
    for _ in range(count):
        begin = at + 8
        at = begin + int.from_bytes(data[begin - 8 : begin], "little")
        if at > end or begin > end:
            raise cursor.fail(f"the file ends here: {at - begin} bytes wanted, {max(0, end - begin)} left")
        texts.append(data[begin:at])
    cursor.at = at
    try:
        return [text.decode() for text in texts]
    except UnicodeDecodeError as error:
        raise cursor.fail(f"text is not UTF-8 ({error.reason} at byte {error.start})") from None


def _array(cursor: _Cursor) -> Any:
    kind = _value_type(cursor)
    if kind is ValueType.ARRAY:
        raise cursor.fail("an array of arrays is not supported")
    if kind is ValueType.STRING:
        return _strings(cursor, cursor.count("Q", 8, "strings"))
    if kind is ValueType.BOOL:
        return _bools(cursor, cursor.count("Q", 1, "booleans"))
    dtype = NUMBERS[kind]
    count = cursor.count("Q", dtype.itemsize, "numbers")
    return np.frombuffer(cursor.take(count * dtype.itemsize), dtype)


def _value(cursor: _Cursor) -> Any:
    kind = _value_type(cursor)
    if kind is ValueType.ARRAY:
        return _array(cursor)
    if kind is ValueType.STRING:
        return cursor.string()
    if kind is ValueType.BOOL:
        return _bools(cursor, 1)[0]
    return np.frombuffer(cursor.take(NUMBERS[kind].itemsize), NUMBERS[kind])[0].item()


def _read_metadata(cursor: _Cursor, count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for index in range(count):
        cursor.where = f"metadata pair {index + 1} of {count}"
        key = cursor.string(MAX_KEY_BYTES)
        cursor.where = f"key '{key[:80]}'"
        if key in metadata:
            raise cursor.fail("appears twice")
        metadata[key] = _value(cursor)
    return metadata


def _alignment(cursor: _Cursor, metadata: dict[str, Any]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    cursor.where = "key 'general.alignment'"
    if type(value) is not int or not 1 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.fail(f"{str(value)[:40]} is not a power of two up to {MAX_ALIGNMENT}")
    return value


def _block_type(cursor: _Cursor) -> BlockType:
    number = cursor.number("I")
    if number in BLOCK_TYPES_BY_ID:
        return BLOCK_TYPES_BY_ID[number]
    known = ", ".join(kind.name for kind in BLOCK_TYPES_BY_ID.values())
    raise cursor.fail(f"tensor type {UNREAD_TYPES.get(number, number)} is not supported; read are {known}")


def _read_info(cursor: _Cursor) -> TensorInfo:
    """Read one tensor's entry; ``start`` is still relative to the data section."""
    name = cursor.string(MAX_NAME_BYTES)
    cursor.where = f"tensor '{name[:80]}'"
    n_dimensions = cursor.number("I")
    if not 1 <= n_dimensions <= MAX_DIMENSIONS:
        raise cursor.fail(f"{n_dimensions} dimensions (1 to {MAX_DIMENSIONS} are allowed)")
    shape = tuple(reversed([cursor.number("Q") for _ in range(n_dimensions)]))
    if 0 in shape:
        raise cursor.fail(f"a dimension of 0 in {shape}")
    kind = _block_type(cursor)
    start = cursor.number("Q")
    try:
        size = math.prod(shape[:-1]) * kind.row_size(shape[-1])  # Python integers do not overflow
    except FormatError as error:
        raise cursor.fail(str(error)) from None
    return TensorInfo(name, shape, kind, start, size)


def _place(cursor: _Cursor, infos: Iterable[TensorInfo], alignment: int) -> dict[str, TensorInfo]:
    """Check that tensors are aligned, inside the file and apart from each other; return them with absolute offsets."""
    data_start = -(-cursor.at // alignment) * alignment
    placed: dict[str, TensorInfo] = {}
    for info in infos:
        cursor.where = f"tensor '{info.name[:80]}'"
        if info.name in placed:
            raise cursor.fail("appears twice")
        if info.start % alignment:
            raise cursor.fail(f"its offset {info.start} is not a multiple of {alignment}")
        start = data_start + info.start
        if start + info.size > len(cursor.data):
            raise cursor.fail(f"bytes {start} to {start + info.size} lie outside the file of {len(cursor.data)} bytes")
        placed[info.name] = TensorInfo(info.name, info.shape, info.kind, start, info.size)
    end, before = 0, ""
    for info in sorted(placed.values(), key=lambda info: info.start):
        cursor.where = f"tensor '{info.name[:80]}'"
        if info.start < end:
            raise cursor.fail(f"overlaps tensor '{before[:80]}'")
        end, before = info.start + info.size, info.name
    return placed


class GGUFFile:
    """An open GGUF file. ``metadata``: numbers, bools, strings, lists of strings or bools, NumPy arrays of numbers.

    The mapping shows the file as it is: replace model files by renaming, never by writing into them.
    """

    def __init__(self, path: Path) -> None:
        """Map and check the file; FormatError if any part of its header is wrong."""
        self.path = path
        self._data = map_file(path)
        cursor = _Cursor(self._data, path)
        if cursor.take(4) != MAGIC:
            raise cursor.fail("not a GGUF file (it does not start with 'GGUF')")
        self.version = cursor.number("I")
        if self.version not in VERSIONS:
            hint = " (big-endian files are not supported)" if self.version & 0xFFFF == 0 else ""
            raise cursor.fail(f"GGUF version {self.version} is not supported, versions 2 and 3 are{hint}")
        n_tensors = cursor.count("Q", _SMALLEST_TENSOR, "tensors")
        n_pairs = cursor.count("Q", _SMALLEST_PAIR, "metadata pairs")
        self.metadata = _read_metadata(cursor, n_pairs)
        alignment = _alignment(cursor, self.metadata)
        infos = []
        for index in range(n_tensors):
            cursor.where = f"tensor {index + 1} of {n_tensors}"
            infos.append(_read_info(cursor))
        self.tensors = _place(cursor, infos, alignment)

    def info(self, name: str) -> TensorInfo:
        """Where a tensor lies; FormatError with the nearest name if there is none."""
        if name not in self.tensors:
            raise FormatError(f"{self.path}: no tensor '{name}'{nearest(name, self.tensors)}")
        return self.tensors[name]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The stored bytes of a tensor: a read-only view of the mapping, shape (size,)."""
        info = self.info(name)
        return np.frombuffer(self._data, np.uint8, info.size, info.start)

    def release(self, name: str) -> None:
        """Tell the system that a tensor's pages are not needed soon, so that they stop counting as resident."""
        info = self.info(name)
        release_pages(self._data, info.start, info.size)

    def array(self, name: str) -> NDArray[np.float32]:
        """A tensor as float32, dequantized, in its NumPy shape."""
        info = self.info(name)
        return dequantize(self.raw(name), info.kind, info.shape)

    def get(self, key: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
        """A metadata value of the wanted Python type; FormatError if it is missing (unless ``default``) or another."""
        if key not in self.metadata:
            if default is not ...:
                return default
            raise FormatError(f"{self.path}: the key '{key}' is missing{nearest(key, self.metadata)}")
        value = self.metadata[key]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(k.__name__ for k in kinds)
            raise FormatError(f"{self.path}: key '{key}': expected {wanted}, found {type(value).__name__}")
        return value


def release_pages(data: mmap.mmap, start: int, size: int) -> None:
    """Drop whole pages of a mapped file from this process; they are read again when touched. No-op where unknown."""
    if hasattr(mmap, "MADV_DONTNEED"):
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        data.madvise(mmap.MADV_DONTNEED, first, start + size - first)


def map_file(path: Path) -> mmap.mmap:
    """Map a file for reading; FormatError if it is empty or cannot be opened."""
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                raise FormatError(f"{path}: the file is empty")
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise FormatError(f"{path}: cannot be opened ({error.strerror})") from None
