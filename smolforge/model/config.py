"""The shape of a decoder, and the arithmetic that follows from it: parameters, FLOPs, cache bytes. No torch here.

Input: a preset, a recipe or a Hugging Face ``config.json`` (``smolforge.model.hf_config``).
Output: one frozen ``ModelConfig`` that every other module reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from smolforge.errors import ConfigError, nearest

Architecture = Literal["smollm3", "llama"]
NOPE_INTERVAL = 4  # SmolLM3: every fourth layer has no positions (transformers: no_rope_layer_interval)


def default_rope_layers(n_layers: int, interval: int = NOPE_INTERVAL) -> tuple[int, ...]:
    """Return SmolLM3's table, 1 = RoPE on: layer i (from 0) has none where (i + 1) is a multiple of ``interval``."""
    return tuple(int((layer + 1) % interval != 0) for layer in range(n_layers))


@dataclass(frozen=True)
class YarnConfig:
    """YaRN context extension (Peng et al. 2023, arXiv:2309.00071), with the defaults of the paper.

    ``factor`` multiplies ``original_max_position_embeddings``, the context of training. ``attention_factor`` scales cos
    and sin; None means 0.1 ln(factor) + 1. ``beta_fast`` and ``beta_slow`` are rotations over the original context.
    """

    factor: float
    original_max_position_embeddings: int
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True

    def __post_init__(self) -> None:
        _require(self.factor >= 1, "rope_scaling.factor", self.factor, "a number of at least 1")
        original = self.original_max_position_embeddings
        _require(original > 0, "rope_scaling.original_max_position_embeddings", original, "a positive integer")
        _require(
            self.beta_fast > self.beta_slow > 0, "rope_scaling.beta_fast", self.beta_fast, "more than beta_slow > 0"
        )
        factor = self.attention_factor
        _require(factor is None or factor > 0, "rope_scaling.attention_factor", factor, "a positive number")


@dataclass(frozen=True)
class ModelConfig:
    """A decoder-only transformer of the SmolLM3 or Llama family: pre-norm RMSNorm, GQA, SwiGLU, half-split RoPE.

    ``no_rope_layers`` has one entry a layer and **1 means RoPE is on** (the naming of transformers); left empty it
    follows the architecture: every fourth layer without positions for "smollm3", none for "llama". ``head_dim`` 0 means
    hidden_size / n_heads. ConfigError names the first field that is wrong.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int = 0
    no_rope_layers: tuple[int, ...] = ()
    rope_theta: float = 50_000.0
    rope_scaling: YarnConfig | None = None
    max_position_embeddings: int = 4096
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True
    attention_bias: bool = False
    mlp_bias: bool = False
    initializer_range: float = 0.02
    architecture: Architecture = field(default="smollm3")

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            _require(_is_number(value) and isinstance(value, int) and value > 0, name, value, "a positive integer")
        whole = _is_number(self.head_dim) and isinstance(self.head_dim, int)
        _require(whole, "head_dim", self.head_dim, "an integer")
        for name in ("rope_theta", "rms_norm_eps", "initializer_range"):
            _require(_is_number(getattr(self, name)), name, getattr(self, name), "a finite number")
        layers = self.no_rope_layers
        _require(isinstance(layers, tuple | list), "no_rope_layers", layers, "a list of 1 (RoPE) and 0 (no positions)")
        self._fill_defaults()
        self._check_heads()
        self._check_positions()
        _require(self.rms_norm_eps > 0, "rms_norm_eps", self.rms_norm_eps, "a positive number")
        _require(self.initializer_range > 0, "initializer_range", self.initializer_range, "a positive number")

    def _fill_defaults(self) -> None:
        _require(self.architecture in ("smollm3", "llama"), "architecture", self.architecture, "'smollm3' or 'llama'")
        if not self.head_dim:
            _require(self.hidden_size % self.n_heads == 0, "hidden_size", self.hidden_size, "a multiple of n_heads")
            object.__setattr__(self, "head_dim", self.hidden_size // self.n_heads)
        if isinstance(self.rope_scaling, dict):  # as a recipe writes it
            object.__setattr__(self, "rope_scaling", _yarn(self.rope_scaling))
        scaling = self.rope_scaling
        _require(scaling is None or isinstance(scaling, YarnConfig), "rope_scaling", scaling, "a mapping with factor")
        layers = tuple(self.no_rope_layers)
        if not layers:
            layers = default_rope_layers(self.n_layers) if self.architecture == "smollm3" else (1,) * self.n_layers
        object.__setattr__(self, "no_rope_layers", layers)

    def _check_heads(self) -> None:
        _require(
            self.n_heads % self.n_kv_heads == 0, "n_kv_heads", self.n_kv_heads, f"a divisor of n_heads {self.n_heads}"
        )
        _require(self.head_dim > 0 and self.head_dim % 2 == 0, "head_dim", self.head_dim, "a positive even integer")

    def _check_positions(self) -> None:
        layers = self.no_rope_layers
        _require(
            len(layers) == self.n_layers and set(layers) <= {0, 1},
            "no_rope_layers",
            list(layers),
            f"{self.n_layers} entries, 1 (RoPE) or 0 (no positions)",
        )
        if self.architecture == "llama":
            _require(all(layers), "no_rope_layers", list(layers), "all 1 for the 'llama' architecture")
        _require(self.rope_theta > 1, "rope_theta", self.rope_theta, "a number above 1")

    @property
    def query_size(self) -> int:
        """Width of all query heads together."""
        return self.n_heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Width of all key (or value) heads together."""
        return self.n_kv_heads * self.head_dim

    def matmul_parameters(self) -> int:
        """Return the weights that multiply every token: all layers and the output head, without biases and norms."""
        attention = self.hidden_size * (2 * self.query_size + 2 * self.kv_size)
        mlp = 3 * self.hidden_size * self.intermediate_size
        return self.n_layers * (attention + mlp) + self.vocab_size * self.hidden_size

    def parameter_count(self) -> int:
        """Return the number of trainable parameters; a tied embedding counts once."""
        norms = (2 * self.n_layers + 1) * self.hidden_size
        embedding = 0 if self.tie_word_embeddings else self.vocab_size * self.hidden_size
        attention_bias = self.query_size + 2 * self.kv_size + self.hidden_size if self.attention_bias else 0
        mlp_bias = 2 * self.intermediate_size + self.hidden_size if self.mlp_bias else 0
        return self.matmul_parameters() + embedding + norms + self.n_layers * (attention_bias + mlp_bias)

    def flops_per_token(self, sequence_length: int, *, training: bool = True) -> float:
        """Return FLOPs for one token in a causal window of ``sequence_length`` tokens, forward + backward unless told.

        Forward: 2 per matmul weight, plus 2·2·query_size per layer and visible token, of which there are
        (sequence_length + 1) / 2 on average; backward costs twice the forward (PaLM, arXiv:2204.02311 appendix B, with
        the causal half counted). Document masks, which lower it further, are not counted.
        """
        visible = (sequence_length + 1) / 2
        forward = 2 * self.matmul_parameters() + 4 * self.n_layers * self.query_size * visible
        return forward * (3 if training else 1)

    def kv_cache_bytes_per_token(self, bytes_per_value: int = 2) -> int:
        """Return the bytes that keys and values of one token take over all layers (2 bytes a value: bf16)."""
        return self.n_layers * 2 * self.kv_size * bytes_per_value

    def with_(self, **changes: Any) -> ModelConfig:
        """Return a copy with some fields changed; an unknown field is a ConfigError with the nearest known one."""
        check_fields(changes)
        return replace(self, **changes)


_POSITIVE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "n_layers",
    "n_heads",
    "n_kv_heads",
    "max_position_embeddings",
)


def check_fields(values: dict[str, Any]) -> None:
    """Raise ConfigError for the first key that is not a field of ModelConfig."""
    known = [item.name for item in fields(ModelConfig)]
    for key in values:
        if key not in known:
            raise ConfigError(f"model: unknown field '{key}'{nearest(key, known)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _yarn(values: dict[str, Any]) -> YarnConfig:
    """Return the YarnConfig of a recipe's mapping; ConfigError names a key that is unknown, missing or no number."""
    known = [item.name for item in fields(YarnConfig)]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"model.rope_scaling.{key}: unknown key{nearest(str(key), known)}")
        fits = isinstance(value, bool) if key == "truncate" else _is_number(value)
        _require(fits or (key == "attention_factor" and value is None), f"rope_scaling.{key}", value, "a number")
    for key in known[:2]:
        _require(key in values, f"rope_scaling.{key}", None, "a number, and has no default")
    return YarnConfig(**values)


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"model.{name}: {value!r} is not {expected}")
