"""A random smollm3 of four layers (the last without positions) with the small tokenizer, as a Hugging Face folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from smolforge.formats.gguf_names import expected_shapes
from smolforge.formats.hf_config import flat_config
from smolforge.formats.safetensors_io import write_safetensors
from tests.tasks.small_chat import small_tokenizer

CONFIG = {
    "architectures": ["SmolLM3ForCausalLM"], "model_type": "smollm3", "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "rms_norm_eps": 1e-6,
    "max_position_embeddings": 512, "rope_theta": 10_000.0, "no_rope_layers": [1, 1, 1, 0], "tie_word_embeddings": True,
}  # fmt: skip


def write_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write config, weights and tokenizer; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = small_tokenizer()
    config = {**CONFIG, "vocab_size": tokenizer.get_vocab_size(with_added_tokens=True)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    stream = np.random.default_rng(seed)
    tensors = {}
    for name, shape in expected_shapes(flat_config(config, "tiny")).items():
        scale = 1.0 if len(shape) == 1 else 0.25
        tensors[name] = (stream.standard_normal(shape) * scale * (0.1 if len(shape) == 1 else 1)).astype(np.float32)
        if len(shape) == 1:
            tensors[name] += 1.0
    write_safetensors(folder / "model.safetensors", tensors)
    return folder
