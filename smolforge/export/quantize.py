"""Which tensor is stored as which type, and the bytes of each.

In: tensor shapes and a target type; then weights, with the importance of their columns. Out: a plan, with a note for
every tensor that could not have the wanted type, and the stored bytes (``smolforge.formats.blocks``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import FormatError
from smolforge.formats.blocks import BlockType, block_type, quantize
from smolforge.formats.scale_search import search_q4_0

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True)
class Stored:
    """The type a tensor gets, and why it is not the one asked for (None: it is)."""

    kind: BlockType
    note: str | None = None


def plan_types(shapes: Mapping[str, tuple[int, ...]], target: str, head_type: str) -> dict[str, Stored]:
    """Choose a type for every tensor (Hugging Face names): vectors F32, the head ``head_type``, the rest ``target``.

    The head is the tensor that makes the logits: ``lm_head.weight``, or the embedding when it is tied. Errors there
    reach the answer undamped, and in a small model it is a large share of the weights, so below 8 bits it has a
    type of its own. Rows that are not whole blocks fall back to F16.
    """
    wanted, head = block_type(target), block_type(head_type)
    head_name = HEAD if HEAD in shapes else EMBEDDING
    plan = {}
    for name, shape in shapes.items():
        kind = head if name == head_name and head.bits > wanted.bits else wanted
        if len(shape) == 1:
            plan[name] = Stored(block_type("F32"))
        elif shape[-1] % kind.values:
            note = f"F16: rows of {shape[-1]} weights are not whole blocks of {kind.values}, as {kind.name} needs"
            plan[name] = Stored(block_type("F16"), note)
        else:
            plan[name] = Stored(kind)
    return plan


def encode(
    name: str, weights: NDArray[np.float32], kind: BlockType, importance: NDArray[np.float32] | None, search: bool
) -> NDArray[np.uint8]:
    """Return the stored bytes of one tensor; FormatError names it when its values cannot be stored."""
    try:
        if kind.name == "Q4_0" and search:
            return search_q4_0(weights, importance)
        return quantize(weights, kind)
    except FormatError as error:
        raise FormatError(f"tensor '{name}': {error}") from None
