"""A decoder in NumPy, float64 throughout, written from the formulas: what ``Model.forward`` is measured against.

Random weights of a small shape, as arrays for the reference and packed for the native model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.engine import _native

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@dataclass
class Tiny:
    """A shape, its weights by Hugging Face name, and the same weights packed (F32 unless told)."""

    shape: dict[str, Any]
    weights: dict[str, NDArray[np.float32]]
    gguf_type: str = "F32"
    tensors: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = {name: self._native(value) for name, value in self.weights.items()}

    def _native(self, value: NDArray[np.float32]) -> Any:
        if value.ndim == 1:
            return value
        blocks = value if self.gguf_type == "F32" else q8_0(value)
        return _native.pack(blocks.view(np.uint8).ravel(), self.gguf_type, *value.shape)

    def model(self, threads: int = 1) -> _native.Model:
        """Return a native model of these weights."""
        return _native.Model(self.shape, self.tensors, threads)

    def dequantized(self) -> dict[str, F64]:
        """Return the weights as the packed matrices hold them."""
        return {name: self._rows(name).astype(np.float64) for name in self.weights}

    def _rows(self, name: str) -> NDArray[np.float32]:
        packed = self.tensors[name]
        if isinstance(packed, np.ndarray):
            return packed
        return np.stack([packed.row(i) for i in range(packed.rows)])


def q8_0(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return GGUF Q8_0 blocks (half scale, 32 int8) of a matrix."""
    blocks = values.reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1, keepdims=True) / 127).astype(np.float16)
    codes = np.rint(blocks / scale.astype(np.float32)).astype(np.int8)
    return np.concatenate((scale.view(np.uint8), codes.view(np.uint8)), axis=1)


def tiny(
    heads: tuple[int, int] = (6, 2),
    *,
    layers: tuple[int, ...] = (0, -1, 0),
    head_dim: int = 16,
    tied: bool = True,
    gguf_type: str = "F32",
    scale: float = 1.0,
    sizes: tuple[int, int, int] = (96, 160, 70),
) -> Tiny:
    """Return a random model: ``layers`` gives each layer's RoPE table, ``scale`` the factor on cos and sin (YaRN).

    ``sizes``: d_model, d_ff, vocab_size.
    """
    stream = np.random.default_rng(sum(heads) + head_dim)
    query, kv, (d, f, vocab) = heads[0] * head_dim, heads[1] * head_dim, sizes
    table = 0.1 ** np.linspace(0, 3, head_dim // 2, dtype=np.float32)
    shape = {
        "n_layers": len(layers), "n_heads": heads[0], "n_kv_heads": heads[1], "head_dim": head_dim, "d_model": d,
        "d_ff": f, "vocab_size": vocab, "norm_eps": 1e-5, "rope_tables": [(table, scale)], "layer_rope": list(layers),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocab, d), "model.norm.weight": (d,)}
    if not tied:
        shapes["lm_head.weight"] = (vocab, d)
    for i in range(len(layers)):
        at = f"model.layers.{i}."
        shapes |= {
            at + f"self_attn.{name}_proj.weight": (size, d) for name, size in zip("qkv", (query, kv, kv), strict=True)
        }
        shapes |= {at + "self_attn.o_proj.weight": (d, query), at + "mlp.down_proj.weight": (d, f)}
        shapes |= {at + f"mlp.{name}_proj.weight": (f, d) for name in ("gate", "up")}
        shapes |= {at + f"{name}_layernorm.weight": (d,) for name in ("input", "post_attention")}
    weights = {
        name: (stream.uniform(0.5, 1.5, size) if len(size) == 1 else stream.standard_normal(size) / 10).astype(
            np.float32
        )
        for name, size in shapes.items()
    }
    return Tiny(shape, weights, gguf_type)


def decode(tiny: Tiny, tokens: I32) -> tuple[F64, F64]:
    """Return the residual stream (n_layers + 1, n, d_model) and the logits (n, vocab_size) of one sequence."""
    shape, w = tiny.shape, tiny.dequantized()
    x = w["model.embed_tokens.weight"][tokens]
    trace = [x]
    for i, table in enumerate(shape["layer_rope"]):
        at = f"model.layers.{i}."
        mixed = _attention(_norm(x, w[at + "input_layernorm.weight"], shape), w, at + "self_attn.", shape, table)
        x = x + mixed @ w[at + "self_attn.o_proj.weight"].T
        normed = _norm(x, w[at + "post_attention_layernorm.weight"], shape)
        gate, up = (normed @ w[at + f"mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[at + "mlp.down_proj.weight"].T
        trace.append(x)
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return np.stack(trace), _norm(x, w["model.norm.weight"], shape) @ head.T


def _norm(x: F64, gain: F64, shape: dict[str, Any]) -> F64:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + shape["norm_eps"]) * gain


def _attention(x: F64, w: dict[str, F64], at: str, shape: dict[str, Any], table: int) -> F64:
    """Causal grouped-query attention: query head h reads key head h // (n_heads / n_kv_heads)."""
    n, size = len(x), shape["head_dim"]
    q, k, v = ((x @ w[at + f"{name}_proj.weight"].T).reshape(n, -1, size) for name in "qkv")
    if table >= 0:
        frequencies, scale = shape["rope_tables"][table]
        q, k = (_rotate(heads, frequencies.astype(np.float64), scale) for heads in (q, k))
    k, v = (np.repeat(heads, shape["n_heads"] // shape["n_kv_heads"], axis=1) for heads in (k, v))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(size)
    scores[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed: F64 = np.einsum("hqk,khd->qhd", weights, v).reshape(n, -1)
    return mixed


def _rotate(heads: F64, frequencies: F64, scale: float) -> F64:
    """Turn pairs (i, i + size / 2) of position p by p times the frequency of i."""
    angle = np.arange(len(heads))[:, None, None] * frequencies
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    first, second = np.split(heads, 2, axis=-1)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def i32(*values: int) -> I32:
    """Return an index array."""
    return np.array(values, np.int32)


class Run:
    """One sequence over pages of its own: feed it chunks, get logits of every row."""

    def __init__(
        self, model: _native.Model, kind: Any = "f16", pages: int = 24, memory: _native.Pages | None = None
    ) -> None:
        self.model, self.length = model, 0
        self.memory = memory or _native.Pages(model, pages, kind)
        self.pages = np.arange(pages, dtype=np.int32)

    def feed(self, tokens: I32) -> NDArray[np.float32]:
        """Continue with ``tokens``; return float32 (n, vocab_size)."""
        start, n = self.length, len(tokens)
        self.length += n
        rows = np.arange(n, dtype=np.int32)
        return self.model.forward(self.memory, tokens, i32(start), i32(n), self.pages[None], rows)
