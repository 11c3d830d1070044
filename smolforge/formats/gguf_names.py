"""Two names for every weight: Hugging Face's and GGUF's, and the order of rotary rows that differs between them.

In: a tensor name or an array in one convention. Out: the same in the other. Hugging Face pairs dimension i of a head
with i + head_dim/2 (half-split); ggml's "llama" and "smollm3" graphs pair 2i with 2i + 1, so q and k rows are permuted.
llama.cpp's converter does that for every layer, those without positions included, and so do we.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError

_MODULES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_BACK_MODULES = {gguf: hf for hf, gguf in _MODULES.items()}
_BACK_OUTER = {gguf: hf for hf, gguf in _OUTER.items()}
_Kind = TypeVar("_Kind", bound=np.generic)


def gguf_name(hf_name: str) -> str:
    """Return the GGUF name of a Hugging Face tensor name; FormatError for a tensor no Llama-family model has."""
    if hf_name in _OUTER:
        return _OUTER[hf_name]
    parts = hf_name.split(".")
    module = ".".join(parts[3:-1])
    if parts[:2] == ["model", "layers"] and module in _MODULES and parts[-1] in ("weight", "bias"):
        return f"blk.{parts[2]}.{_MODULES[module]}.{parts[-1]}"
    raise FormatError(f"tensor '{hf_name}' has no place in a GGUF file of this family")


def hf_name(gguf: str) -> str:
    """Return the Hugging Face name of a GGUF tensor name; FormatError for a tensor no Llama-family model has."""
    if gguf in _BACK_OUTER:
        return _BACK_OUTER[gguf]
    parts = gguf.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in _BACK_MODULES and parts[3] in ("weight", "bias"):
        return f"model.layers.{parts[1]}.{_BACK_MODULES[parts[2]]}.{parts[3]}"
    raise FormatError(f"tensor '{gguf}' belongs to no Llama-family model this package knows")


def rotary_heads(name: str, config: dict[str, Any]) -> int:
    """Return how many heads' rows a tensor (HF name) holds that rotary positions turn; 0 for any other tensor."""
    if ".q_proj." in name:
        return int(config["num_attention_heads"])
    if ".k_proj." in name:
        return int(config["num_key_value_heads"])
    return 0


def to_gguf_rows(rows: NDArray[_Kind], heads: int) -> NDArray[_Kind]:
    """Reorder q or k rows (heads * head_dim, ...) from half-split to interleaved; other columns are untouched."""
    split = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def to_hf_rows(rows: NDArray[_Kind], heads: int) -> NDArray[_Kind]:
    """Inverse of :func:`to_gguf_rows`."""
    paired = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return paired.swapaxes(1, 2).reshape(rows.shape)


def expected_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return every tensor (HF name) a model of this config has, with its shape, in the order of the forward pass."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    q = config["num_attention_heads"] * config["head_dim"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    projections = {
        "self_attn.q_proj": ((q, width), config["attention_bias"]),
        "self_attn.k_proj": ((kv, width), config["attention_bias"]),
        "self_attn.v_proj": ((kv, width), config["attention_bias"]),
        "self_attn.o_proj": ((width, q), config["attention_bias"]),
        "mlp.gate_proj": ((inner, width), config["mlp_bias"]),
        "mlp.up_proj": ((inner, width), config["mlp_bias"]),
        "mlp.down_proj": ((width, inner), config["mlp_bias"]),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        shapes[prefix + "input_layernorm.weight"] = (width,)
        shapes[prefix + "post_attention_layernorm.weight"] = (width,)
        for module, (shape, bias) in projections.items():
            shapes[f"{prefix}{module}.weight"] = shape
            if bias:
                shapes[f"{prefix}{module}.bias"] = shape[:1]
    shapes["model.norm.weight"] = (width,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    return shapes
