"""What a GGUF header says about a model's shape, and how that reads as a flat Hugging Face config.

In: GGUF metadata (architectures ``llama`` and ``smollm3``) or a flat config (``smolforge.formats.hf_config``).
Out: the other. A model that a GGUF architecture cannot express is refused with the reason, never written wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smolforge.errors import FormatError, nearest
from smolforge.formats.gguf_read import GGUFFile
from smolforge.formats.hf_config import NOPE_INTERVAL, flat_config

ARCHITECTURES = ("llama", "smollm3")
ROPE_FACTORS = "rope_freqs.weight"
Numbers = (int, float)
# Keys whose presence (with another value than given here) changes the computation in a way this package does not do.
_NEUTRAL: dict[str, Any] = {
    "expert_count": 0,
    "attention.sliding_window": 0,
    "attention.scale": 0.0,
    "attention.clamp_kqv": 0.0,
    "logit_scale": 0.0,
    "embedding_scale": 0.0,
    "residual_scale": 0.0,
    "attention.causal": True,
}


def architecture_for(config: Mapping[str, Any]) -> str:
    """Return the GGUF architecture that computes this model; FormatError if neither does.

    GGUF has no key for layers without positions: llama.cpp's ``smollm3`` leaves rotary positions out of exactly every
    fourth layer, its ``llama`` out of none.
    """
    table = list(config["no_rope_layers"])
    if all(table):
        return "llama"
    if table == [int((layer + 1) % NOPE_INTERVAL != 0) for layer in range(len(table))]:
        return "smollm3"
    without = [layer for layer, on in enumerate(table) if not on]
    raise FormatError(
        f"no_rope_layers: GGUF has no key for which layers go without RoPE. Architecture 'smollm3' means exactly every "
        f"{NOPE_INTERVAL}th layer (3, 7, ...) and 'llama' means none; this model has layers {without}, so the file "
        "would load and compute something else. Train with one of these two patterns, or export to another format"
    )


def shape_metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``general.architecture`` and the ``<architecture>.*`` keys for a flat config."""
    arch = architecture_for(config)
    values: dict[str, Any] = {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": config["head_dim"],
        "attention.value_length": config["head_dim"],
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "vocab_size": config["vocab_size"],
        "rope.dimension_count": config["head_dim"],
        "rope.freq_base": float(config["rope_theta"]),
        **_yarn_values(config["rope_scaling"]),
    }
    return {"general.architecture": arch, **{f"{arch}.{key}": value for key, value in values.items()}}


def _yarn_values(scaling: Mapping[str, Any] | None) -> dict[str, Any]:
    if scaling is None or scaling["rope_type"] != "yarn":  # the others become the tensor rope_freqs.weight
        return {}
    if scaling.get("attention_factor") is not None or scaling.get("truncate") is False:
        raise FormatError(
            "rope_scaling: llama.cpp computes YaRN's attention factor and whole-number ramp by itself; "
            "'attention_factor' and 'truncate: false' cannot be exported to GGUF"
        )
    values = {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": float(scaling["factor"]),
        "rope.scaling.original_context_length": int(scaling["original_max_position_embeddings"]),
    }
    for name in ("beta_fast", "beta_slow"):
        if scaling.get(name) is not None:
            values[f"rope.scaling.yarn_{name}"] = float(scaling[name])
    return values


def _refuse_unsupported(file: GGUFFile, arch: str) -> None:
    for key, neutral in _NEUTRAL.items():
        value = file.metadata.get(f"{arch}.{key}", neutral)
        if isinstance(value, bool | int | float) and value == neutral:
            continue
        raise FormatError(f"{file.path}: key '{arch}.{key}' is not supported with the value {str(value)[:60]}")


def _read_scaling(file: GGUFFile, arch: str) -> dict[str, Any] | None:
    prefix = f"{arch}.rope.scaling."
    kind = file.get(prefix + "type", str, "none")
    if kind == "none":
        return None
    if kind != "yarn":
        raise FormatError(f"{file.path}: key '{prefix}type': '{kind}' is not supported, 'yarn' and 'none' are")
    if file.get(prefix + "attn_factor", Numbers, 1.0) != 1.0 or file.get(prefix + "yarn_log_multiplier", Numbers, 0.0):
        raise FormatError(f"{file.path}: YaRN with its own attention factor is not supported")
    scaling = {
        "rope_type": "yarn",
        "factor": float(file.get(prefix + "factor", Numbers)),
        "original_max_position_embeddings": file.get(prefix + "original_context_length", int),
    }
    for name in ("beta_fast", "beta_slow"):
        value = file.get(f"{prefix}yarn_{name}", Numbers, None)
        if value is not None:
            scaling[name] = float(value)
    return scaling


def _read_factors(file: GGUFFile, flat: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read ``rope_freqs.weight``, by which Llama 3.x files divide each frequency; else what the header said."""
    scaling: dict[str, Any] | None = flat["rope_scaling"]
    if ROPE_FACTORS not in file.tensors:
        return scaling
    where, wanted = f"{file.path}: tensor '{ROPE_FACTORS}'", (flat["head_dim"] // 2,)
    if scaling is not None:
        raise FormatError(f"{where}: frequency factors together with YaRN are not supported")
    if file.info(ROPE_FACTORS).shape != wanted:
        raise FormatError(f"{where}: shape {file.info(ROPE_FACTORS).shape}, expected {wanted}")
    factors = file.array(ROPE_FACTORS)
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise FormatError(f"{where}: a factor is not a positive number")
    return {"rope_type": "factors", "factors": factors.tolist()}


def read_shape(file: GGUFFile) -> dict[str, Any]:
    """Return the flat config of a GGUF model; FormatError for other architectures and unsupported features."""
    arch = file.get("general.architecture", str)
    if arch not in ARCHITECTURES:
        hint = nearest(arch, ARCHITECTURES)
        raise FormatError(
            f"{file.path}: architecture '{arch}' is not supported, {' and '.join(ARCHITECTURES)} are{hint}"
        )
    _refuse_unsupported(file, arch)
    layers = file.get(f"{arch}.block_count", int)
    if layers > len(file.tensors):  # before anything is built per layer
        raise FormatError(f"{file.path}: {layers} layers announced, but the file has {len(file.tensors)} tensors")
    heads = file.get(f"{arch}.attention.head_count", int)
    width = file.get(f"{arch}.embedding_length", int)
    head_dim = file.get(f"{arch}.attention.key_length", int, width // max(heads, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        if file.get(f"{arch}.{key}", int, head_dim) != head_dim:
            raise FormatError(f"{file.path}: key '{arch}.{key}' must equal the head size {head_dim}")
    config = {
        "model_type": arch,
        "vocab_size": file.info("token_embd.weight").shape[0],
        "hidden_size": width,
        "intermediate_size": file.get(f"{arch}.feed_forward_length", int),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": file.get(f"{arch}.attention.head_count_kv", int, heads),
        "head_dim": head_dim,
        "max_position_embeddings": file.get(f"{arch}.context_length", int),
        "rms_norm_eps": file.get(f"{arch}.attention.layer_norm_rms_epsilon", Numbers),
        "rope_theta": file.get(f"{arch}.rope.freq_base", Numbers, 10_000.0),
        "rope_scaling": _read_scaling(file, arch),
        "no_rope_layer_interval": NOPE_INTERVAL,
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attention_bias": "blk.0.attn_q.bias" in file.tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in file.tensors,
        **{
            f"{name}_token_id": file.get(f"tokenizer.ggml.{key}_token_id", int, None)
            for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
        },
    }
    flat = flat_config(config, str(file.path))
    return {**flat, "rope_scaling": _read_factors(file, flat)}
