"""``config.json`` of Hugging Face models: read into a ModelConfig, and written so that transformers 4.53 … 5.x read it.

Input and output: plain dictionaries. Whatever would change the logits and is not implemented here is refused by name.
Sources: SmolLM3Config and LlamaConfig of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smolforge.errors import FormatError
from smolforge.formats.hf_config import MAX_LAYERS
from smolforge.model.config import Architecture, ModelConfig, YarnConfig, default_rope_layers

_CLASSES: dict[Architecture, str] = {"smollm3": "SmolLM3ForCausalLM", "llama": "LlamaForCausalLM"}
_DEFAULT_THETA: dict[Architecture, float] = {"smollm3": 2_000_000.0, "llama": 10_000.0}
_DEFAULT_CONTEXT: dict[Architecture, int] = {"smollm3": 32_768, "llama": 2_048}
_YARN_KEYS = {"factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "truncate"}
# key → the only values that mean "not used"; anything else is refused
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_dropout": (0, None),
    "use_sliding_window": (False, None),
    "use_qk_norm": (False, None),
    "qk_norm": (False, None),
    "partial_rotary_factor": (1, None),
    "rope_interleaved": (False, None),
    "pretraining_tp": (1, None),
    "quantization_config": (None,),
}


@dataclass(frozen=True)
class TokenIds:
    """The ids a model folder tells its readers: begin of text, end(s) of generation, padding; None: there is none."""

    bos: int | None = None
    eos: int | tuple[int, ...] | None = None
    pad: int | None = None


def to_hf(config: ModelConfig, *, ids: TokenIds | None = None, dtype: str = "float32") -> dict[str, Any]:
    """Return the ``config.json`` value. ``dtype`` is the type of the stored weights ("float32", "bfloat16")."""
    ids = ids or TokenIds()
    yarn = {k: v for k, v in asdict(config.rope_scaling).items() if v is not None} if config.rope_scaling else None
    rope = {"rope_type": "yarn", **yarn} if yarn else {"rope_type": "default"}
    value: dict[str, Any] = {
        "architectures": [_CLASSES[config.architecture]],
        "model_type": config.architecture,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": config.rms_norm_eps,
        "initializer_range": config.initializer_range,
        "tie_word_embeddings": config.tie_word_embeddings,
        "attention_bias": config.attention_bias,
        "attention_dropout": 0.0,
        "mlp_bias": config.mlp_bias,
        "rope_theta": config.rope_theta,  # transformers 4
        "rope_scaling": rope if yarn else None,  # transformers 4
        "rope_parameters": {**rope, "rope_theta": config.rope_theta},  # transformers 5
        "use_cache": True,
        "bos_token_id": ids.bos,
        "eos_token_id": list(ids.eos) if isinstance(ids.eos, tuple) else ids.eos,
        "pad_token_id": ids.pad,
        "torch_dtype": dtype,
        "dtype": dtype,
    }
    if config.architecture == "smollm3":
        value |= {
            "no_rope_layers": list(config.no_rope_layers),
            "no_rope_layer_interval": 4,
            "use_sliding_window": False,
            "sliding_window": None,
            "layer_types": ["full_attention"] * config.n_layers,
        }
    return value


def from_hf(value: Mapping[str, Any], *, where: str = "config.json") -> ModelConfig:
    """Return the ModelConfig of a ``config.json`` value; FormatError names the key of anything not supported."""
    if not isinstance(value, Mapping):
        raise FormatError(f"{where}: expected an object of model settings")
    architecture = value.get("model_type")
    if architecture not in ("smollm3", "llama"):
        raise FormatError(f"{where}: model_type {architecture!r} is not supported; expected 'smollm3' or 'llama'")
    _refuse_unsupported(value, where)
    required = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    for key in required:
        if not isinstance(value.get(key), int):
            raise FormatError(f"{where}: '{key}' is {value.get(key)!r}, expected an integer")
    n_layers, n_heads = value["num_hidden_layers"], value["num_attention_heads"]
    if n_layers > MAX_LAYERS:  # tables are made per layer
        raise FormatError(f"{where}: 'num_hidden_layers' is {n_layers}, at most {MAX_LAYERS} are read")
    try:
        theta, yarn = _rope(value, architecture, where)
        layers = _rope_layers(value, architecture, n_layers)
    except FormatError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{where}: the RoPE settings cannot be read ({error})") from None
    return ModelConfig(
        vocab_size=value["vocab_size"],
        hidden_size=value["hidden_size"],
        intermediate_size=value["intermediate_size"],
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=value.get("num_key_value_heads") or n_heads,
        head_dim=value.get("head_dim") or 0,
        no_rope_layers=layers,
        rope_theta=theta,
        rope_scaling=yarn,
        max_position_embeddings=value.get("max_position_embeddings", _DEFAULT_CONTEXT[architecture]),
        rms_norm_eps=value.get("rms_norm_eps", 1e-6),
        tie_word_embeddings=value.get("tie_word_embeddings", architecture == "smollm3"),
        attention_bias=value.get("attention_bias", False),
        mlp_bias=value.get("mlp_bias", False),
        initializer_range=value.get("initializer_range", 0.02),
        architecture=architecture,
    )


def token_ids(value: Mapping[str, Any]) -> TokenIds:
    """Return the token ids a ``config.json`` value states."""
    eos = value.get("eos_token_id")
    return TokenIds(value.get("bos_token_id"), tuple(eos) if isinstance(eos, list) else eos, value.get("pad_token_id"))


def _refuse_unsupported(value: Mapping[str, Any], where: str) -> None:
    for key, allowed in _UNSUPPORTED.items():
        if key in value and value[key] not in allowed:
            raise FormatError(f"{where}: '{key}' is {value[key]!r}, which is not supported (only {allowed[0]!r})")
    if set(value.get("layer_types") or ()) - {"full_attention"}:
        raise FormatError(f"{where}: 'layer_types' names layers other than 'full_attention', which are not supported")


def _rope_layers(value: Mapping[str, Any], architecture: Architecture, n_layers: int) -> tuple[int, ...]:
    if architecture == "llama":
        return (1,) * n_layers
    layers = value.get("no_rope_layers")
    if layers is None:
        return default_rope_layers(n_layers, value.get("no_rope_layer_interval", 4))
    return tuple(int(layer) for layer in layers[:n_layers])  # transformers allows a longer list


def _rope(value: Mapping[str, Any], architecture: Architecture, where: str) -> tuple[float, YarnConfig | None]:
    """Read theta and YaRN from ``rope_parameters`` (transformers 5) or ``rope_theta`` and ``rope_scaling`` (4)."""
    rope = dict(value.get("rope_scaling") or value.get("rope_parameters") or {})
    kind = rope.pop("rope_type", rope.pop("type", "default"))
    rope.pop("type", None)
    parameters = value.get("rope_parameters") or {}
    theta = rope.pop("rope_theta", parameters.get("rope_theta", value.get("rope_theta", _DEFAULT_THETA[architecture])))
    if "rope_theta" in value and float(value["rope_theta"]) != float(theta):
        raise FormatError(f"{where}: 'rope_theta' is {value['rope_theta']} at the top and {theta} in 'rope_parameters'")
    if kind == "default":
        return float(theta), None
    if kind != "yarn":
        raise FormatError(f"{where}: rope type {kind!r} is not supported; expected 'default' or 'yarn'")
    rope = {key: item for key, item in rope.items() if item is not None}
    if unknown := sorted(set(rope) - _YARN_KEYS):
        raise FormatError(
            f"{where}: YaRN key '{unknown[0]}' is not supported; known are {', '.join(sorted(_YARN_KEYS))}"
        )
    rope.setdefault("original_max_position_embeddings", value.get("max_position_embeddings"))
    if "factor" not in rope:
        raise FormatError(f"{where}: YaRN without 'factor'")
    return float(theta), YarnConfig(**rope)
