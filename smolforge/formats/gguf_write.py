"""Writing GGUF version 3: header first, then one tensor after the other, so that no model is ever whole in memory.

In: metadata, the list of tensors to come (name, shape, type) and an iterator of their arrays in that order. Out: one
file, written beside its place and renamed, so it is whole or absent. Format: docs/gguf.md in ggml-org/ggml.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError
from smolforge.formats.blocks import BlockType
from smolforge.formats.gguf_read import DEFAULT_ALIGNMENT, MAGIC, MAX_DIMENSIONS, NUMBERS, ValueType
from smolforge.store.atomic import writing

MAX_TENSOR_NAME = 63  # ggml keeps names in 64 bytes, the last of them zero
_TYPE_OF_DTYPE = {dtype: kind for kind, dtype in NUMBERS.items()}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that will be written: ``shape`` in NumPy order, stored as ``kind``."""

    name: str
    shape: tuple[int, ...]
    kind: BlockType

    @property
    def size(self) -> int:
        """Bytes of the stored tensor."""
        return int(np.prod(self.shape[:-1], dtype=np.int64)) * self.kind.row_size(self.shape[-1])


def _string(text: str) -> bytes:
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def _number(key: str, value: np.generic) -> tuple[ValueType, bytes]:
    little = value.dtype.newbyteorder("<")
    if little not in _TYPE_OF_DTYPE:
        raise FormatError(f"key '{key}': a NumPy {value.dtype} cannot be GGUF metadata")
    return _TYPE_OF_DTYPE[little], np.array(value, little).tobytes()


def _scalar(key: str, value: Any) -> tuple[ValueType, bytes]:
    """Type and bytes of one value: int is uint32, float is float32, NumPy scalars keep their type."""
    if isinstance(value, bool | np.bool_):
        return ValueType.BOOL, bytes([bool(value)])
    if isinstance(value, str):
        return ValueType.STRING, _string(value)
    if isinstance(value, np.generic):
        return _number(key, value)
    if isinstance(value, int):
        if not 0 <= value < 1 << 32:
            raise FormatError(f"key '{key}': {value} is not a uint32; pass np.int64 or np.uint64")
        return ValueType.UINT32, struct.pack("<I", value)
    if isinstance(value, float):
        return ValueType.FLOAT32, struct.pack("<f", value)
    raise FormatError(f"key '{key}': a {type(value).__name__} cannot be GGUF metadata")


def _pair(key: str, value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        little = value.dtype.newbyteorder("<")
        if little not in _TYPE_OF_DTYPE or value.ndim != 1:
            raise FormatError(f"key '{key}': an array of {value.dtype} {value.shape} cannot be GGUF metadata")
        kind, body = _TYPE_OF_DTYPE[little], value.astype(little).tobytes()
        return _string(key) + struct.pack("<IIQ", ValueType.ARRAY, kind, value.size) + body
    if isinstance(value, list | tuple):
        items = [_scalar(key, item) for item in value]
        kinds = {kind for kind, _ in items}
        if len(kinds) > 1:
            raise FormatError(f"key '{key}': an array of mixed types cannot be GGUF metadata")
        kind = kinds.pop() if kinds else ValueType.STRING
        head = struct.pack("<IIQ", ValueType.ARRAY, kind, len(items))
        return _string(key) + head + b"".join(body for _, body in items)
    kind, body = _scalar(key, value)
    return _string(key) + struct.pack("<I", kind) + body


def _header(metadata: Mapping[str, Any], tensors: Sequence[TensorSpec]) -> bytes:
    parts = [MAGIC, struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    parts += [_pair(key, value) for key, value in metadata.items()]
    offset = 0
    for spec in tensors:
        parts.append(_string(spec.name) + struct.pack("<I", len(spec.shape)))
        parts.append(struct.pack(f"<{len(spec.shape)}Q", *reversed(spec.shape)))
        parts.append(struct.pack("<IQ", spec.kind.id, offset))
        offset += spec.size + -spec.size % DEFAULT_ALIGNMENT
    header = b"".join(parts)
    return header + bytes(-len(header) % DEFAULT_ALIGNMENT)


def _check(path: Path, tensors: Sequence[TensorSpec]) -> None:
    seen = set()
    for spec in tensors:
        if spec.name in seen:
            raise FormatError(f"{path}: tensor '{spec.name}' is given twice")
        if not 0 < len(spec.name.encode()) <= MAX_TENSOR_NAME:
            raise FormatError(f"{path}: tensor name '{spec.name}' has more than {MAX_TENSOR_NAME} bytes or none")
        if not 1 <= len(spec.shape) <= MAX_DIMENSIONS or 0 in spec.shape:
            raise FormatError(f"{path}: tensor '{spec.name}': shape {spec.shape} cannot be stored")
        seen.add(spec.name)


def _write_tensors(stream: BinaryIO, tensors: Sequence[TensorSpec], data: Iterable[NDArray[np.uint8]]) -> None:
    arrays = iter(data)
    for spec in tensors:
        raw = next(arrays, None)
        if raw is None:
            raise FormatError(f"tensor '{spec.name}': its data was not given")
        if raw.dtype != np.uint8 or raw.size != spec.size:
            raise FormatError(f"tensor '{spec.name}': {raw.size} {raw.dtype} values given, {spec.size} bytes wanted")
        stream.write(np.ascontiguousarray(raw).data)
        stream.write(bytes(-spec.size % DEFAULT_ALIGNMENT))
    if next(arrays, None) is not None:
        raise FormatError("more tensors were given than announced")


def write_gguf(
    path: Path, metadata: Mapping[str, Any], tensors: Sequence[TensorSpec], data: Iterable[NDArray[np.uint8]]
) -> None:
    """Write a GGUF file atomically.

    ``metadata``: bool, str, int (stored as uint32), float (float32), NumPy scalars and 1-d arrays (their own type),
    lists of one such type. ``data`` yields the stored bytes (uint8) of each tensor, in the order of ``tensors``.
    FormatError, and no file, for anything that does not fit.
    """
    _check(path, tensors)
    header = _header(metadata, tensors)
    with writing(path) as stream:
        stream.write(header)
        _write_tensors(stream, tensors, data)
