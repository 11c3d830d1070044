"""Named model shapes, as data: the SmolLM2 layouts, SmolLM3-3B, and a nano that trains on a laptop CPU.

Input: a name and the fields to change. Output: a ``ModelConfig``.
Sources: huggingface/smollm text/pretraining (SmolLM2 and SmolLM3 configurations); theta and context as released.
"""

from __future__ import annotations

from typing import Any

from smolforge.errors import ConfigError, nearest
from smolforge.model.config import ModelConfig, check_fields

_SMOLLM2: dict[str, Any] = {
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "architecture": "llama",
}

PRESETS: dict[str, dict[str, Any]] = {
    "nano": {
        "vocab_size": 8192,
        "hidden_size": 192,
        "intermediate_size": 512,
        "n_layers": 4,
        "n_heads": 3,
        "n_kv_heads": 1,
        "rope_theta": 10_000.0,
        "max_position_embeddings": 256,
        "initializer_range": 0.0625,
    },
    "135m": _SMOLLM2
    | {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "n_layers": 30,
        "n_heads": 9,
        "n_kv_heads": 3,
        "rope_theta": 100_000.0,
        "initializer_range": 1 / 24,
    },
    "0.3b": _SMOLLM2
    | {
        "hidden_size": 960,
        "intermediate_size": 2560,
        "n_layers": 32,
        "n_heads": 15,
        "n_kv_heads": 5,
        "rope_theta": 100_000.0,
        "initializer_range": 0.03227,
    },
    "1.7b": _SMOLLM2
    | {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "n_layers": 24,
        "n_heads": 32,
        "n_kv_heads": 32,
        "rope_theta": 130_000.0,
    },
    "3b": {
        "vocab_size": 128_256,
        "hidden_size": 2048,
        "intermediate_size": 11_008,
        "n_layers": 36,
        "n_heads": 16,
        "n_kv_heads": 4,
        "rope_theta": 5_000_000.0,
        "max_position_embeddings": 65_536,
    },
}


def preset(name: str, **overrides: Any) -> ModelConfig:
    """Return the named configuration with some fields changed.

    Fields that follow from others (``head_dim``, ``no_rope_layers``) are derived after the change. Turning a SmolLM2
    layout into a SmolLM3 one is ``preset("135m", architecture="smollm3")``. ConfigError for an unknown name or field.
    """
    if not isinstance(name, str) or name not in PRESETS:
        known = ", ".join(PRESETS)
        raise ConfigError(f"model.preset: no preset {name!r}{nearest(str(name), PRESETS)}; there are {known}")
    check_fields(overrides)
    return ModelConfig(**(PRESETS[name] | overrides))
