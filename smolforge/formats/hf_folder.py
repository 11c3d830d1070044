"""The weights of a Hugging Face folder without torch: one safetensors file, or the shards that an index lists.

In: a folder and its flat config. Out: stored bytes by tensor name, after every name and shape was checked against the
config. Anything missing, unexpected or mis-shaped is a FormatError that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import DataError, FormatError
from smolforge.formats.gguf_names import expected_shapes
from smolforge.formats.safetensors_io import Entry, SafetensorsFile
from smolforge.store.atomic import read_json

WEIGHTS = "model.safetensors"
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
INDEX = "model.safetensors.index.json"
MAX_SHARDS = 1024


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a model folder, in the order of their names; FormatError if there are none,
    DataError for a shard that is not there."""
    if (folder / INDEX).is_file():
        shards = [folder / shard for shard in sorted(set(_weight_map(folder).values()))]
        for shard in shards:
            if not shard.is_file():
                raise DataError(f"{shard}: no such file, though {INDEX} lists it")
        return shards
    if not (folder / WEIGHTS).is_file():
        raise FormatError(f"{folder}: neither {WEIGHTS} nor {INDEX} is there")
    return [folder / WEIGHTS]


def _weight_map(folder: Path) -> dict[str, str]:
    try:
        index = read_json(folder / INDEX)
    except DataError as error:
        raise FormatError(str(error)) from None
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict) or not found or not all(isinstance(shard, str) for shard in found.values()):
        raise FormatError(f"{folder / INDEX}: no 'weight_map' of tensor names to file names")
    shards = set(found.values())
    if len(shards) > MAX_SHARDS:
        raise FormatError(f"{folder / INDEX}: {len(shards)} shards, at most {MAX_SHARDS} are read")
    for shard in shards:
        if Path(shard).name != shard:
            raise FormatError(f"{folder / INDEX}: shard '{shard}' is not a file name in this folder")
    return found


class HFTensors:
    """The tensors of a folder by name; memory-mapped."""

    def __init__(self, folder: Path) -> None:
        """Open and check every file; FormatError names file and tensor."""
        self.folder = folder
        self._files: dict[str, SafetensorsFile] = {}
        listed = _weight_map(folder) if (folder / INDEX).is_file() else None
        for path in weight_files(folder):
            file = SafetensorsFile(path)
            names = file.entries if listed is None else [name for name, shard in listed.items() if shard == path.name]
            for name in names:
                if name not in file.entries:
                    raise FormatError(f"{path}: tensor '{name}' is missing, though the index says it is here")
                self._files[name] = file

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in weight_files(self.folder))

    def check(self, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor in forward order, checked before anything is allocated.

        FormatError for a tensor that this config lacks, adds or shapes otherwise. A ``lm_head.weight`` beside tied
        weights is accepted when its bytes are the embedding's; ``rotary_emb.inv_freq`` buffers of old checkpoints are
        ignored.
        """
        n_layers = config["num_hidden_layers"]
        if n_layers > len(self._files):
            raise FormatError(f"{self.folder}: {n_layers} layers announced, but there are {len(self._files)} tensors")
        expected = expected_shapes(dict(config))
        missing = [name for name in expected if name not in self._files]
        if missing:
            raise FormatError(
                f"{self.folder}: tensor '{missing[0]}' is missing ({len(missing)} of {len(expected)} are)"
            )
        for name, file in self._files.items():
            if name in expected and file.entries[name].shape != expected[name]:
                shape, wanted = list(file.entries[name].shape), list(expected[name])
                raise FormatError(f"{self.folder}: tensor '{name}' has shape {shape}, expected {wanted}")
        extra = [n for n in self._files if n not in expected and not n.endswith("rotary_emb.inv_freq")]
        if "lm_head.weight" in extra and config["tie_word_embeddings"]:
            self._check_tied()
            extra.remove("lm_head.weight")
        if extra:
            raise FormatError(
                f"{self.folder}: tensor '{min(extra)}' is not part of this architecture ({len(extra)} such tensors)"
            )
        return expected

    def _check_tied(self) -> None:
        if not np.array_equal(self.raw("lm_head.weight"), self.raw("model.embed_tokens.weight")):
            raise FormatError(
                f"{self.folder}: 'lm_head.weight' differs from the embedding, but the configuration ties them"
            )
        self.release("lm_head.weight")
        self.release("model.embed_tokens.weight")

    def entry(self, name: str) -> Entry:
        """Type and shape of a tensor."""
        return self._files[name].entry(name)

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The stored bytes of a tensor: a read-only view of the mapping."""
        return self._files[name].raw(name)

    def stored(self, name: str) -> tuple[str, NDArray[np.uint8]]:
        """Type (F32, F16 or BF16) and stored bytes of a tensor; FormatError for another type."""
        dtype = self.entry(name).dtype
        if dtype not in ("F32", "F16", "BF16"):
            raise FormatError(f"{self.folder}: tensor '{name}' is {dtype}; F32, F16 and BF16 weights are read")
        return dtype, self.raw(name)

    def release(self, name: str) -> None:
        """Give back the pages that a tensor took."""
        self._files[name].release(name)
