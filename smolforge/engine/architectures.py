"""The model families the engine computes, as data: what distinguishes them beyond the numbers in a config.

In: a flat config (``smolforge.formats.hf_config``). Out: the tensors to load and the shape of the native model, or a
refusal that names what the native forward pass does not compute. A new family is an entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smolforge.errors import FormatError, nearest
from smolforge.formats.gguf_names import expected_shapes
from smolforge.formats.rope import inverse_frequencies

COLUMN_BLOCK = 32  # packed matrices hold whole blocks of 32 columns


@dataclass(frozen=True)
class Architecture:
    """One family of pre-norm decoders with RMSNorm, grouped-query attention and SwiGLU, half-split RoPE.

    ``nope``: a layer may be without positions, as the config's ``no_rope_layers`` says (1 = RoPE on). ``one_template``:
    prompts are written by ``smolforge.tokens.template``, not by the template found in the file.
    """

    name: str
    nope: bool
    one_template: bool


ARCHITECTURES = {
    family.name: family
    for family in (
        Architecture("llama", nope=False, one_template=False),  # SmolLM2, Llama 3.x
        Architecture("smollm3", nope=True, one_template=True),  # SmolLM3 and what smolforge trains
    )
}


def architecture(config: Mapping[str, Any], where: str) -> Architecture:
    """Return the family of a config; FormatError names an unknown one, or what of this model is not computed."""
    name = str(config["model_type"])
    if name not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise FormatError(f"{where}: architecture '{name}' is not supported, {known} are{nearest(name, ARCHITECTURES)}")
    family = ARCHITECTURES[name]
    for field in ("attention_bias", "mlp_bias"):
        if config[field]:
            raise FormatError(f"{where}: {field}: projections with a bias are not computed by the engine")
    if not family.nope and not all(config["no_rope_layers"]):
        raise FormatError(f"{where}: no_rope_layers: every layer of '{name}' has rotary positions")
    return family


def tensor_shapes(config: Mapping[str, Any], where: str) -> dict[str, tuple[int, ...]]:
    """Return every tensor (Hugging Face name) with its NumPy shape; FormatError for sizes the kernels do not take."""
    shapes = expected_shapes(dict(config))
    for name, shape in shapes.items():
        if len(shape) == 2 and shape[1] % COLUMN_BLOCK:
            raise FormatError(
                f"{where}: tensor '{name}' has {shape[1]} columns; the engine needs a multiple of {COLUMN_BLOCK}"
            )
    return shapes


def native_shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shape dict of the native model: sizes, and one rotary table with the layers that use it (-1: none)."""
    table = inverse_frequencies(config["head_dim"], config["rope_theta"], config["rope_scaling"])
    return {
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "n_kv_heads": config["num_key_value_heads"],
        "head_dim": config["head_dim"],
        "d_model": config["hidden_size"],
        "d_ff": config["intermediate_size"],
        "vocab_size": config["vocab_size"],
        "norm_eps": float(config["rms_norm_eps"]),
        "rope_tables": [table],
        "layer_rope": [0 if rotary else -1 for rotary in config["no_rope_layers"]],
    }
