"""Where weights come from: a GGUF file or a Hugging Face folder, one tensor at a time, as blocks the kernels repack.

In: a path. Out: a ``Source``: the flat config, and for each tensor either stored blocks (repacked exactly) or blocks
quantized on the way. Pages of the file are given back after each tensor, so the source is never whole in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.architectures import architecture, tensor_shapes
from smolforge.engine.files import WEIGHTS, Weights
from smolforge.errors import ConfigError, FormatError
from smolforge.formats.blocks import block_type, decode_bf16, encode_bf16, quantize
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_names import rotary_heads, to_hf_rows
from smolforge.formats.hf_config import read_config
from smolforge.formats.hf_folder import EMBEDDING, HEAD, HFTensors
from smolforge.formats.scale_search import quick_q4_0

FLOAT_TYPES = ("F32", "F16", "BF16")
SMALL_MODEL = 500_000_000  # weights below which "auto" keeps 8 bits: there 4 bits cost more quality than memory
CHUNK_VALUES = 1 << 21  # float32 values quantized at a time and thread: 8 MiB

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class Stored(NamedTuple):
    """One matrix: ``blocks`` uint8 (bytes), their ggml type, and where packed row i lies in them (None: at i)."""

    blocks: Bytes
    kind: str
    row_order: NDArray[np.int32] | None


class Source(Protocol):
    """An opened model. ``shapes``: Hugging Face name → NumPy shape, in forward order, without a tied head."""

    path: Path
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    @property
    def packed_bytes(self) -> int:
        """About how many bytes the packed weights will take."""

    def matrix(self, name: str) -> Stored:
        """Return the blocks of a 2-d tensor."""

    def vector(self, name: str) -> Floats:
        """Return a 1-d tensor as float32."""

    def release(self, name: str) -> None:
        """Give back the pages that a tensor took."""


def open_source(path: Path, weights: Weights = "auto", threads: int = 1) -> Source:
    """Open a GGUF file or a model folder; FormatError or ConfigError say what is wrong with it.

    ``weights``: how unquantized tensors are kept; "auto" keeps a GGUF file as it is and quantizes a folder to 4 bits
    (8 bits below half a billion weights).
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"weights '{weights}': expected one of {', '.join(WEIGHTS)}")
    if path.is_dir():
        return FolderSource(path, weights, threads)
    return GGUFSource(path, weights, threads)


class GGUFSource:
    """Weights of a GGUF file; quantized blocks go through untouched."""

    def __init__(self, path: Path, weights: Weights, threads: int) -> None:
        self.path, self.threads = path, threads
        self.model = GGUFModel(path)
        self.config = self.model.config
        architecture(self.config, str(path))
        self.shapes = tensor_shapes(self.config, str(path))
        stored = {self.model.info(name).kind.name for name, shape in self.shapes.items() if len(shape) == 2}
        if weights != "auto" and stored - set(FLOAT_TYPES):
            raise ConfigError(f"{path}: weights '{weights}' asked for, but the file is quantized already; leave it out")
        self.target = {} if weights == "auto" else targets(self.shapes, weights)

    @property
    def packed_bytes(self) -> int:
        """About how many bytes the packed weights will take: codes of 5 and 6 bits become 8."""
        return _bytes_as(self.target, self.shapes) if self.target else self.path.stat().st_size * 4 // 3

    def matrix(self, name: str) -> Stored:
        """Return the stored blocks, or the blocks of the wanted type."""
        info = self.model.info(name)
        heads = rotary_heads(name, self.config)
        order = to_hf_rows(np.arange(info.shape[0], dtype=np.int32), heads) if heads else None
        raw = self.model.file.raw(info.name)
        target = self.target.get(name, info.kind.name)
        if target == info.kind.name:
            return Stored(raw, target, order)
        return Stored(_convert(name, raw, info.kind.name, info.shape, target, self.threads), target, order)

    def vector(self, name: str) -> Floats:
        """Return a norm as float32."""
        return np.ascontiguousarray(self.model.array(name))

    def release(self, name: str) -> None:
        """Give back the pages that a tensor took."""
        self.model.file.release(self.model.info(name).name)


class FolderSource:
    """Weights of ``model.safetensors`` (or its shards), quantized while they are read."""

    def __init__(self, path: Path, weights: Weights, threads: int) -> None:
        self.path, self.threads = path, threads
        self.config = read_config(path)
        architecture(self.config, str(path))
        self.tensors = HFTensors(path)
        self.tensors.check(self.config)
        self.shapes = tensor_shapes(self.config, str(path))
        self.target = targets(self.shapes, weights)

    @property
    def packed_bytes(self) -> int:
        """About how many bytes the packed weights will take."""
        return _bytes_as(self.target, self.shapes)

    def matrix(self, name: str) -> Stored:
        """Return the blocks of the wanted type."""
        kind, raw = self.tensors.stored(name)
        target = self.target[name]
        blocks = raw if kind == target else _convert(name, raw, kind, self.shapes[name], target, self.threads)
        return Stored(blocks, target, None)

    def vector(self, name: str) -> Floats:
        """Return a norm as float32."""
        kind, raw = self.tensors.stored(name)
        return _floats(raw, kind).reshape(self.shapes[name])

    def release(self, name: str) -> None:
        """Give back the pages that a tensor took."""
        self.tensors.release(name)


def targets(shapes: Mapping[str, tuple[int, ...]], weights: Weights) -> dict[str, str]:
    """Return the ggml type of each matrix. With "q4" the tensor that makes the logits keeps 8 bits, as in our exports:
    errors there reach the answer undamped."""
    matrices = {name: shape for name, shape in shapes.items() if len(shape) == 2}
    if weights == "auto":
        weights = "q4" if sum(rows * cols for rows, cols in matrices.values()) >= SMALL_MODEL else "q8"
    kind = {"q4": "Q4_0", "q8": "Q8_0", "bf16": "BF16", "f32": "F32"}[weights]
    head = HEAD if HEAD in matrices else EMBEDDING
    return {name: "Q8_0" if kind == "Q4_0" and name == head else kind for name in matrices}


def _bytes_as(target: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(shapes[name][0] * block_type(kind).row_size(shapes[name][1]) for name, kind in target.items())


def _floats(raw: Bytes, kind: str) -> Floats:
    """Decode stored bytes of a float type into float32 values, shape (n,)."""
    if kind == "BF16":
        return decode_bf16(raw.reshape(-1, 2)).reshape(-1)
    return raw.view("<f2" if kind == "F16" else "<f4").astype(np.float32)


def _encode(values: Floats, kind: str) -> Bytes:
    if kind == "Q4_0":
        return quick_q4_0(values)
    if kind == "BF16":
        return encode_bf16(values.reshape(-1, 1)).reshape(len(values), -1)
    return quantize(values, block_type(kind))


def _convert(name: str, raw: Bytes, kind: str, shape: tuple[int, ...], target: str, threads: int) -> Bytes:
    """Re-encode a float tensor in chunks of rows, on several threads; FormatError names it for NaN or infinity."""
    rows, cols = shape
    row_in, row_out = block_type(kind).row_size(cols), block_type(target).row_size(cols)
    out = np.empty((rows, row_out), np.uint8)
    step = max(1, CHUNK_VALUES // cols)

    def work(start: int) -> None:
        part = raw[start * row_in : (start + step) * row_in]
        values = _floats(part, kind).reshape(-1, cols)
        if not np.isfinite(values).all():
            raise FormatError(f"tensor '{name}': rows {start} to {start + len(values) - 1} hold NaN or infinite values")
        out[start : start + step] = _encode(values, target)

    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for _ in pool.map(work, range(0, rows, step)):
            pass
    return out.reshape(-1)
