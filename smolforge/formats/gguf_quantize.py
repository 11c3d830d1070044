"""A model file in fewer bits: GGUF or Hugging Face folder in, GGUF out, one tensor at a time.

In: a path and the name of a recipe. Out: one file that llama.cpp opens, whole or not at all, and a report of what was
stored how. Works in NumPy without torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import ConfigError, FormatError, nearest
from smolforge.formats.blocks import BlockType, block_type, dequantize, quantize
from smolforge.formats.gguf_metadata import ROPE_FACTORS, shape_metadata
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_names import gguf_name, rotary_heads, to_gguf_rows
from smolforge.formats.gguf_tokenizer import TokenizerData, from_tokenizer_json, tokenizer_metadata
from smolforge.formats.gguf_types import FILE_TYPES, RECIPES, plan
from smolforge.formats.gguf_write import TensorSpec, write_gguf
from smolforge.formats.hf_config import read_config
from smolforge.formats.hf_folder import HFTensors
from smolforge.formats.hf_tokenizer import TOKENIZER, read_token_facts, read_tokenizer_json
from smolforge.formats.pre_tokenizers import SPLITS
from smolforge.formats.rope import inverse_frequencies, plain_frequencies
from smolforge.formats.scale_search import quick_q4_0, search_q4_1

Type = Literal["q4_0", "q4_1", "q8_0", "q4_k_m"]
Progress = Callable[[float, str], None]  # share of the weights done, tensor at work
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
QUANTIZATION_VERSION = 2
CHUNK_VALUES = 1 << 21  # weights encoded at a time and thread
_SEARCHES: dict[str, Callable[[Floats], Bytes]] = {"Q4_0": quick_q4_0, "Q4_1": search_q4_1}


@dataclass(frozen=True)
class Quantized:
    """What was written. ``types``: how many tensors have each type; ``notes``: what a person should know."""

    path: Path
    bytes: int
    source_bytes: int
    types: dict[str, int]
    notes: tuple[str, ...]


def quantize_gguf(
    source: Path, target: Path, type: Type, *, threads: int = 1, progress: Progress | None = None
) -> Quantized:
    """Write ``source`` (a GGUF file or a Hugging Face folder) to ``target`` as GGUF of ``type``.

    FormatError or ConfigError, and no file, for a source that is wrong or cannot be expressed in GGUF.
    """
    if type not in RECIPES:
        raise ConfigError(f"type '{type}': expected one of {', '.join(RECIPES)}{nearest(type, RECIPES)}")
    if target.exists() and source.exists() and target.samefile(source):
        raise ConfigError(f"{target}: the target is the source; give another name")
    reader: _Reader = _FolderReader(source) if source.is_dir() else _FileReader(source)
    kinds = plan(reader.shapes, type)
    extra = reader.extra()
    specs = [TensorSpec(gguf_name(name), shape, kinds[name].kind) for name, shape in reader.shapes.items()]
    specs += [TensorSpec(name, array.shape, block_type("F32")) for name, array in extra.items()]
    metadata = {**reader.metadata(), "general.file_type": FILE_TYPES[type]}
    metadata["general.quantization_version"] = QUANTIZATION_VERSION
    encoded = _encoded(reader, {name: stored.kind for name, stored in kinds.items()}, threads, progress)
    write_gguf(target, metadata, specs, _then(encoded, extra))
    counted = Counter(stored.note for stored in kinds.values() if stored.note)
    notes = [f"{count} tensors are {note}" for note, count in counted.items()]
    return Quantized(
        target, target.stat().st_size, reader.size, dict(Counter(s.kind.name for s in specs)), (*reader.notes, *notes)
    )


class _Reader(Protocol):
    """A source: shapes by Hugging Face name, float32 rows in GGUF order, metadata."""

    shapes: dict[str, tuple[int, ...]]
    size: int
    notes: tuple[str, ...]

    def rows(self, name: str, start: int, stop: int) -> Floats: ...
    def release(self, name: str) -> None: ...
    def metadata(self) -> dict[str, Any]: ...
    def extra(self) -> dict[str, Floats]: ...


class _FileReader:
    """A GGUF file: rows as they lie there, metadata as it is."""

    def __init__(self, path: Path) -> None:
        self.model = GGUFModel(path)
        self.shapes, self.size = self.model.shapes, path.stat().st_size
        kinds = {self.model.info(name).kind for name, shape in self.shapes.items() if len(shape) == 2}
        low = sorted(kind.name for kind in kinds if kind.bits < 8)
        self.notes: tuple[str, ...] = (
            (f"the source is quantized already ({', '.join(low)}): its errors stay",) if low else ()
        )

    def rows(self, name: str, start: int, stop: int) -> Floats:
        info = self.model.info(name)
        raw = self.model.file.raw(info.name).reshape(-1, info.kind.row_size(info.shape[-1]))
        if len(info.shape) == 1:
            return dequantize(raw, info.kind, info.shape)
        return dequantize(raw[start:stop], info.kind, (min(stop, info.shape[0]) - start, info.shape[1]))

    def release(self, name: str) -> None:
        self.model.file.release(gguf_name(name))

    def metadata(self) -> dict[str, Any]:
        return {key: value for key, value in self.model.file.metadata.items() if key != "general.alignment"}

    def extra(self) -> dict[str, Floats]:
        file = self.model.file
        return {ROPE_FACTORS: file.array(ROPE_FACTORS)} if ROPE_FACTORS in file.tensors else {}


class _FolderReader:
    """A Hugging Face folder: q and k rows put in GGUF order, metadata made from the config and the tokenizer."""

    def __init__(self, path: Path) -> None:
        self.path, self.config = path, read_config(path)
        self.tensors = HFTensors(path)
        self.shapes = self.tensors.check(self.config)
        self.size = self.tensors.size
        self.notes: tuple[str, ...] = ()

    def rows(self, name: str, start: int, stop: int) -> Floats:
        kind, raw = self.tensors.stored(name)
        heads, shape = rotary_heads(name, self.config), self.shapes[name]
        if len(shape) == 1:
            return dequantize(raw, block_type(kind), shape)
        rows = raw.reshape(shape[0], -1)
        part = to_gguf_rows(rows, heads)[start:stop] if heads else rows[start:stop]
        return dequantize(part, block_type(kind), (len(part), shape[1]))

    def release(self, name: str) -> None:
        self.tensors.release(name)

    def metadata(self) -> dict[str, Any]:
        shape = shape_metadata(self.config)
        return {
            "general.architecture": shape.pop("general.architecture"),
            "general.type": "model",
            "general.name": self.path.resolve().name,
            **shape,
            **tokenizer_metadata(_folder_tokenizer(self.path, self.config)),
        }

    def extra(self) -> dict[str, Floats]:
        scaling = self.config["rope_scaling"]
        if scaling is None or scaling["rope_type"] != "llama3":
            return {}
        head_dim, theta = self.config["head_dim"], self.config["rope_theta"]
        scaled, _ = inverse_frequencies(head_dim, theta, scaling)
        return {ROPE_FACTORS: plain_frequencies(head_dim, theta) / scaled}


def _folder_tokenizer(folder: Path, config: Mapping[str, Any]) -> TokenizerData:
    """Return the tokenizer of a folder under the first of llama.cpp's names that splits text as it does."""
    size = config["vocab_size"]
    value, facts, where = read_tokenizer_json(folder, size), read_token_facts(folder, config), str(folder / TOKENIZER)
    for pre in SPLITS:
        try:
            data = from_tokenizer_json(value, pre, size, where)
        except FormatError as error:
            problem = error
            continue
        pad = config["pad_token_id"]
        eos = next(iter(facts.eos), None)
        return TokenizerData(
            pre, data.tokens, data.types, data.merges, facts.bos, eos, pad if isinstance(pad, int) else None,
            facts.add_bos, facts.chat_template,
        )  # fmt: skip
    raise FormatError(f"{where}: llama.cpp knows no tokenizer that splits text as this one does ({problem})")


def _encoded(
    reader: _Reader, kinds: Mapping[str, BlockType], threads: int, progress: Progress | None
) -> Iterator[Bytes]:
    """Yield the stored bytes of each tensor; chunks of rows are encoded on several threads."""
    total, done = sum(int(np.prod(shape)) for shape in reader.shapes.values()), 0
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for name, shape in reader.shapes.items():
            if progress is not None:
                progress(done / total, name)
            step = max(1, CHUNK_VALUES // shape[-1])
            starts = range(0, shape[0] if len(shape) == 2 else 1, step)
            parts = pool.map(lambda at, n=name, s=step: _encode(reader, n, at, at + s, kinds[n]), starts)
            yield np.concatenate([part.reshape(-1) for part in parts])
            reader.release(name)
            done += int(np.prod(shape))
    if progress is not None:
        progress(1.0, "written")


def _encode(reader: _Reader, name: str, start: int, stop: int, kind: BlockType) -> Bytes:
    values = reader.rows(name, start, stop)
    try:
        if not np.isfinite(values).all():
            raise FormatError("the weights hold NaN or infinite values")
        search = _SEARCHES.get(kind.name)
        return search(values) if search is not None else quantize(values, kind)
    except FormatError as error:
        raise FormatError(f"tensor '{name}': {error}") from None


def _then(encoded: Iterator[Bytes], extra: Mapping[str, Floats]) -> Iterator[Bytes]:
    yield from encoded
    for array in extra.values():
        yield np.ascontiguousarray(array, "<f4").view(np.uint8)
