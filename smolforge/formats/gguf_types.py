"""Which tensor gets which type: the recipes behind names such as ``q4_k_m``.

In: tensor shapes and a recipe's name. Out: a type for each, with a note where it is not the recipe's. ``q4_k_m`` is
llama.cpp's choice (src/llama-quant.cpp): Q4_K, and Q6_K where errors weigh most; K types need rows of whole
super-blocks of 256 weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smolforge.formats.blocks import BlockType, block_type
from smolforge.formats.hf_folder import EMBEDDING, HEAD

FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q4_k_m": 15}  # llama_ftype
RECIPES = tuple(FILE_TYPES)
# What rows that are not whole super-blocks of 256 get instead, as in llama.cpp; and if not whole blocks of 32 either.
_FALLBACK = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
_LAST = "F16"


@dataclass(frozen=True)
class Planned:
    """The type a tensor gets, and why it is not the recipe's (None: it is)."""

    kind: BlockType
    note: str | None = None


def plan(shapes: Mapping[str, tuple[int, ...]], recipe: str) -> dict[str, Planned]:
    """Choose a type for every tensor (Hugging Face names): vectors F32, matrices as the recipe says.

    The tensor that makes the logits (``lm_head.weight``, or the embedding when it is tied) keeps at least 6 bits:
    errors there reach the answer undamped, and in a small model it is a large share of the weights.
    """
    head = HEAD if HEAD in shapes else EMBEDDING
    n_layers = 1 + max((_layer(name) for name in shapes), default=0)
    chosen = {}
    for name, shape in shapes.items():
        wanted = "F32" if len(shape) == 1 else _wanted(name, recipe, head, n_layers)
        chosen[name] = _fitting(wanted, shape[-1])
    return chosen


def _wanted(name: str, recipe: str, head: str, n_layers: int) -> str:
    if recipe != "q4_k_m":
        return "Q8_0" if name == head else recipe.upper()
    sensitive = ".v_proj." in name or ".down_proj." in name
    return "Q6_K" if name == head or (sensitive and _more_bits(_layer(name), n_layers)) else "Q4_K"


def _more_bits(layer: int, n_layers: int) -> bool:
    """The first and last eighth of the layers, and every third between."""
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def _layer(name: str) -> int:
    parts = name.split(".")
    return int(parts[2]) if parts[1] == "layers" else 0


def _fitting(wanted: str, columns: int) -> Planned:
    for name in (wanted, _FALLBACK.get(wanted, _LAST), _LAST):
        kind = block_type(name)
        if columns % kind.values == 0:
            break
    if name == wanted:
        return Planned(kind)
    needs = block_type(wanted).values
    return Planned(kind, f"{name}: rows of {columns} weights are not whole blocks of {needs}, as {wanted} needs")
