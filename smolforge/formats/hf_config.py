"""One flat form of a Hugging Face ``config.json`` of the Llama family, for code that must not import torch.

In: the JSON of any transformers version (positions at the top level or in ``rope_parameters``). Out: a plain dict with
every field of ``FIELDS`` present, and a refusal, by name, of anything that would change the computation unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smolforge.errors import DataError, FormatError, nearest
from smolforge.store.atomic import read_json

MODEL_TYPES = ("llama", "smollm3")
NOPE_INTERVAL = 4
MAX_LAYERS = 4096  # lists are made per layer, so an absurd count must not get that far
_REQUIRED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_INTEGERS = (*_REQUIRED, "num_key_value_heads", "head_dim", "max_position_embeddings")
# What transformers' own config classes assume when a field is absent, by model type.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {"max_position_embeddings": 2048, "rope_theta": 10_000.0, "tie_word_embeddings": False},
    "smollm3": {"max_position_embeddings": 32_768, "rope_theta": 2_000_000.0, "tie_word_embeddings": True},
}
_SCALING_FIELDS = {
    "yarn": ("factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "truncate"),
    "llama3": ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"),
}
FIELDS = (
    "model_type", *_INTEGERS, "rms_norm_eps", "rope_theta", "rope_scaling", "no_rope_layers", "tie_word_embeddings",
    "attention_bias", "mlp_bias", "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip


def read_config(path: Path) -> dict[str, Any]:
    """Read ``config.json`` (or a folder that holds one) into the flat form; FormatError names file and field."""
    file = path / "config.json" if path.is_dir() else path
    try:
        raw = read_json(file)
    except DataError as error:
        raise FormatError(str(error)) from None
    if not isinstance(raw, dict):
        raise FormatError(f"{file}: expected a JSON object, found {type(raw).__name__}")
    return flat_config(raw, str(file))


def flat_config(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the flat form: ``rope_theta`` and ``rope_scaling`` (None, or a dict) at the top, no gaps."""
    model_type = config.get("model_type")
    if model_type not in MODEL_TYPES:
        hint = nearest(str(model_type), MODEL_TYPES)
        raise FormatError(f"{where}: model_type '{model_type}' is not supported, {' and '.join(MODEL_TYPES)} are{hint}")
    _refuse_unsupported(config, where)
    flat = {**_DEFAULTS[model_type], "rms_norm_eps": 1e-6, "attention_bias": False, "mlp_bias": False}
    flat |= {name: config[name] for name in FIELDS if config.get(name) is not None}
    for name in _REQUIRED:
        if name not in flat:
            raise FormatError(f"{where}: the field '{name}' is missing")
    flat.setdefault("num_key_value_heads", flat["num_attention_heads"])
    _check_integers({**flat, "head_dim": flat.get("head_dim", 2)}, where)
    flat.setdefault("head_dim", flat["hidden_size"] // flat["num_attention_heads"])
    _check_integers(flat, where)
    _fill_positions(flat, config, where)
    return {name: flat.get(name) for name in FIELDS}


def _refuse_unsupported(config: Mapping[str, Any], where: str) -> None:
    plain = {"hidden_act": "silu", "use_sliding_window": False, "pretraining_tp": 1, "rope_interleaved": False}
    for name, only in plain.items():
        if config.get(name, only) not in (only, None):
            raise FormatError(f"{where}: {name} = {config[name]!r} is not supported, only {only!r}")
    layers = config.get("layer_types") or []
    if not isinstance(layers, list) or any(kind != "full_attention" for kind in layers):
        raise FormatError(f"{where}: layer_types other than 'full_attention' are not supported")


def _check_integers(flat: Mapping[str, Any], where: str) -> None:
    for name in _INTEGERS:
        value = flat[name]
        if type(value) is not int or value < 1:
            raise FormatError(f"{where}: {name} = {value!r} is not a positive integer")
    if not _is_number(flat["rms_norm_eps"]) or flat["rms_norm_eps"] <= 0:
        raise FormatError(f"{where}: rms_norm_eps = {flat['rms_norm_eps']!r} is not a positive number")
    for name in ("tie_word_embeddings", "attention_bias", "mlp_bias"):
        if type(flat[name]) is not bool:
            raise FormatError(f"{where}: {name} = {flat[name]!r} is not true or false")
    if flat["num_hidden_layers"] > MAX_LAYERS:
        raise FormatError(f"{where}: num_hidden_layers = {flat['num_hidden_layers']} is more than {MAX_LAYERS}")
    if flat["num_attention_heads"] % flat["num_key_value_heads"] or flat["head_dim"] % 2:
        raise FormatError(f"{where}: num_key_value_heads must divide num_attention_heads and head_dim be even")


def _fill_positions(flat: dict[str, Any], config: Mapping[str, Any], where: str) -> None:
    scaling, parameters = (_mapping(config, name, where) for name in ("rope_scaling", "rope_parameters"))
    if "type" in scaling:  # as transformers wrote it until 4.44
        scaling.setdefault("rope_type", scaling.pop("type"))
    rope = {**parameters, **scaling}
    if rope.get("rope_theta") is not None:
        flat["rope_theta"] = rope["rope_theta"]
    if not _is_number(flat["rope_theta"]) or not flat["rope_theta"] > 1:
        raise FormatError(f"{where}: rope_theta = {flat['rope_theta']!r} is not a number above 1")
    flat["rope_theta"] = float(flat["rope_theta"])
    flat["rope_scaling"] = _scaling(rope, flat["max_position_embeddings"], where)
    layers = flat["num_hidden_layers"]
    table = flat.get("no_rope_layers")
    if flat["model_type"] == "llama":
        table = [1] * layers
    elif not table:
        interval = config.get("no_rope_layer_interval") or NOPE_INTERVAL
        if type(interval) is not int or interval < 1:
            raise FormatError(f"{where}: no_rope_layer_interval = {interval!r} is not a positive integer")
        table = [int((layer + 1) % interval != 0) for layer in range(layers)]
    if not isinstance(table, list) or len(table) != layers or not all(type(on) is int and on in (0, 1) for on in table):
        raise FormatError(f"{where}: no_rope_layers must have {layers} entries, 1 (RoPE) or 0 (no positions)")
    flat["no_rope_layers"] = list(table)


def _mapping(config: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = config.get(name) or {}
    if not isinstance(value, Mapping):
        raise FormatError(f"{where}: {name} = {str(value)[:40]!r} is not an object")
    return dict(value)


def _scaling(rope: Mapping[str, Any], max_positions: int, where: str) -> dict[str, Any] | None:
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return None
    if kind not in ("yarn", "llama3"):
        raise FormatError(f"{where}: rope scaling '{kind}' is not supported, only 'yarn' and 'llama3' are")
    for name in ("mscale", "mscale_all_dim"):
        if rope.get(name):
            raise FormatError(f"{where}: rope scaling with '{name}' is not supported")
    if not _is_number(rope.get("factor")) or rope["factor"] < 1:
        raise FormatError(f"{where}: rope scaling '{kind}' needs a factor of at least 1")
    chosen = {name: rope[name] for name in _SCALING_FIELDS[kind] if rope.get(name) is not None}
    chosen.setdefault("original_max_position_embeddings", int(max_positions / rope["factor"]))
    _check_scaling(kind, chosen, where)
    return {"rope_type": kind, **chosen}


def _check_scaling(kind: str, chosen: Mapping[str, Any], where: str) -> None:
    for name, value in chosen.items():
        if not (isinstance(value, bool) if name == "truncate" else _is_number(value) and value > 0):
            raise FormatError(f"{where}: rope scaling '{kind}': {name} = {value!r} is not a positive number")
    if kind == "llama3" and not chosen.get("high_freq_factor", 0) > chosen.get("low_freq_factor", math.inf):
        raise FormatError(f"{where}: rope scaling 'llama3' needs high_freq_factor above low_freq_factor")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
