"""A decoder as a GGUF file that llama.cpp loads, and such a file as a decoder again.

In: a decoder, tokenizer data and a target type. Out: one file of architecture ``smollm3`` or ``llama``; or, the other
way, a float32 decoder that computes with exactly the weights the file stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smolforge.export.quantize import Stored, encode
from smolforge.formats.gguf_metadata import shape_metadata
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_names import gguf_name, rotary_heads, to_gguf_rows
from smolforge.formats.gguf_tokenizer import TokenizerData, tokenizer_metadata
from smolforge.formats.gguf_write import TensorSpec, write_gguf
from smolforge.formats.hf_config import flat_config
from smolforge.model.checkpoint import hf_tensors, load_tensors
from smolforge.model.config import ModelConfig
from smolforge.model.decoder import Decoder
from smolforge.model.hf_config import from_hf, to_hf

FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "BF16": 32}  # llama_ftype
QUANTIZATION_VERSION = 2
Importance = Mapping[str, NDArray[np.float32]]


def flat(config: ModelConfig) -> dict[str, Any]:
    """Return the flat config of a ModelConfig. The architecture follows from the layers with positions."""
    return flat_config(to_hf(config), "model")


def header(config: ModelConfig, tokenizer: TokenizerData, target: str, name: str) -> dict[str, Any]:
    """Return all metadata of the file; FormatError for a model that no GGUF architecture expresses."""
    shape = shape_metadata(flat(config))
    return {
        "general.architecture": shape.pop("general.architecture"),
        "general.type": "model",
        "general.name": name,
        "general.file_type": FILE_TYPES[target],
        "general.quantization_version": QUANTIZATION_VERSION,
        **shape,
        **tokenizer_metadata(tokenizer),
    }


def write_model(
    path: Path,
    decoder: Decoder,
    metadata: Mapping[str, Any],
    plan: Mapping[str, Stored],
    *,
    importance: Importance | None = None,
    search: bool = True,
) -> None:
    """Write the decoder's weights as ``plan`` says, one tensor at a time; whole or not at all."""
    config = flat(decoder.config)
    tensors = hf_tensors(decoder, torch.float32)
    specs = [TensorSpec(gguf_name(name), tuple(tensors[name].shape), plan[name].kind) for name in tensors]

    def stored() -> Iterator[NDArray[np.uint8]]:
        for name, tensor in tensors.items():
            heads = rotary_heads(name, config)
            rows = to_gguf_rows(tensor.numpy(), heads) if heads else tensor.numpy()
            yield encode(name, rows, plan[name].kind, (importance or {}).get(name), search)

    write_gguf(path, metadata, specs, stored())


def load_decoder(path: Path) -> Decoder:
    """Open a GGUF file as a float32 decoder: what the file stores, dequantized. FormatError names what is wrong."""
    model = GGUFModel(path)
    with torch.device("meta"):
        decoder = Decoder(from_hf(model.config, where=str(path)))
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in model.tensors()}
    return load_tensors(decoder.to_empty(device="cpu").float(), tensors, where=str(path))
