"""How much each column of each weight matrix matters: the mean square of what it is multiplied with.

In: a decoder and token sequences like those it will meet. Out: one float32 vector per matrix (Hugging Face name) that
weighs the squared error of quantization: Σ E[x²] (w − ŵ)² over a row is the expected squared error of its output, where
inputs are uncorrelated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smolforge.export.quantize import EMBEDDING, HEAD
from smolforge.model.decoder import Decoder

_FED_ALIKE = {
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": ("self_attn.o_proj",),
    "mlp.gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "mlp.down": ("mlp.down_proj",),
}


def column_importance(decoder: Decoder, sequences: Sequence[Sequence[int]]) -> dict[str, NDArray[np.float32]]:
    """Return {tensor name: float32 (columns,)}: mean squared input over all tokens of ``sequences``."""
    sums: dict[str, Tensor] = {}
    hooks = []
    for i, layer in enumerate(decoder.layers):
        for ours, theirs in _FED_ALIKE.items():
            names = [f"model.layers.{i}.{module}.weight" for module in theirs]
            hooks.append(layer.get_submodule(ours).register_forward_pre_hook(_adder(sums, names)))
    tokens = 0
    try:
        with torch.inference_mode():
            for sequence in sequences:
                hidden_BTD = decoder(torch.tensor([list(sequence)]))
                _add(sums, [HEAD if decoder.head is not None else EMBEDDING], hidden_BTD)
                tokens += len(sequence)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: (total / tokens).float().numpy() for name, total in sums.items()}


def _add(sums: dict[str, Tensor], names: Sequence[str], x_BTD: Tensor) -> None:
    total = x_BTD.double().square().sum(dim=(0, 1))
    for name in names:
        sums[name] = sums[name] + total if name in sums else total


def _adder(sums: dict[str, Tensor], names: Sequence[str]) -> Any:
    def hook(_module: Any, inputs: tuple[Tensor, ...]) -> None:
        _add(sums, names, inputs[0])

    return hook
