"""Small random smollm3 models as GGUF files, in every tensor type that is read; layer 3 is without positions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.formats.blocks import ENCODERS, block_type, quantize
from smolforge.formats.gguf_metadata import shape_metadata
from smolforge.formats.gguf_names import expected_shapes, gguf_name, rotary_heads, to_gguf_rows
from smolforge.formats.gguf_tokenizer import from_tokenizer_json, tokenizer_metadata
from smolforge.formats.gguf_write import TensorSpec, write_gguf
from smolforge.formats.hf_config import flat_config
from tests.tasks.small_chat import small_tokenizer

SHAPE = {
    "model_type": "smollm3", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "rms_norm_eps": 1e-6, "rope_theta": 10_000.0,
    "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip
# Where the float16 factors of a block lie, for types that are only read; the other bytes may be anything.
_FACTORS = {"Q2_K": (80, 82), "Q3_K": (108,), "IQ4_NL": (0,), "IQ4_XS": (0,)}
_FACTOR_SIZE = {"Q2_K": 0.004, "Q3_K": 0.002, "IQ4_NL": 0.0009, "IQ4_XS": 0.00006}


def config_of(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a flat config whose vocabulary is the small tokenizer's, padded to a multiple of 16."""
    size = small_tokenizer().get_vocab_size(with_added_tokens=True)
    return flat_config({**SHAPE, "vocab_size": -(-size // 16) * 16, **(changes or {})}, "small")


def stored_blocks(kind: str, rows: NDArray[np.float32], stream: np.random.Generator) -> NDArray[np.uint8]:
    """Return the bytes of a matrix: quantized where the type is written, else random codes with sane factors."""
    block = block_type(kind)
    if kind in ENCODERS:
        return quantize(rows, block)
    raw = stream.integers(0, 256, (rows.size // block.values, block.size), dtype=np.uint8)
    for at in _FACTORS[kind]:
        factor = (_FACTOR_SIZE[kind] * stream.uniform(0.5, 1.5, len(raw))).astype("<f2")
        raw[:, at : at + 2] = factor[:, None].view(np.uint8)
    return raw


def write_random_gguf(
    path: Path, kinds: Mapping[str, str] | str, changes: Mapping[str, Any] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Write a model whose matrices are stored as ``kinds`` (one type, or by part of the tensor's name)."""
    config = config_of(changes)
    stream = np.random.default_rng(seed)
    tokenizer = json.loads(small_tokenizer().to_str())
    data = from_tokenizer_json(tokenizer, "gpt-2", config["vocab_size"], "small")
    specs, blocks = [], []
    for name, shape in expected_shapes(config).items():
        if len(shape) == 1:
            kind, rows = "F32", (1 + 0.1 * stream.standard_normal(shape)).astype(np.float32)
        else:
            kind = kinds if isinstance(kinds, str) else next(k for part, k in kinds.items() if part in name)
            rows = (stream.standard_normal(shape) * 1.5 / np.sqrt(shape[1])).astype(np.float32)
        heads = rotary_heads(name, config)
        specs.append(TensorSpec(gguf_name(name), shape, block_type(kind)))
        blocks.append(stored_blocks(kind, to_gguf_rows(rows, heads) if heads else rows, stream).reshape(-1))
    write_gguf(path, {**shape_metadata(config), **tokenizer_metadata(data)}, specs, blocks)
    return config
