"""Random weights before training, as SmolLM3's were drawn.

Input: a decoder and a seed. Output: the same decoder, filled. Each parameter's values depend on (seed, its name) only.
"""

from __future__ import annotations

import math

import torch

from smolforge.model.decoder import Decoder
from smolforge.store import digest_json


def initialise(decoder: Decoder, seed: int) -> Decoder:
    """Fill the decoder in place and return it.

    Embedding, QKV, gate-up (and an untied head): normal(0, initializer_range), not truncated. The two projections back
    into the residual stream: divided by √(2 · n_layers) (nanotron's rule, which SmolLM3 used). Gains 1, biases 0.
    """
    std = decoder.config.initializer_range
    for name, parameter in decoder.named_parameters():
        with torch.no_grad():
            if name.endswith("bias"):
                parameter.zero_()
            elif "norm" in name:
                parameter.fill_(1.0)
            else:
                into_residual = name.endswith(("attention.out.weight", "mlp.down.weight"))
                scale = std / math.sqrt(2 * decoder.config.n_layers) if into_residual else std
                generator = torch.Generator().manual_seed(int(digest_json([seed, name])[:15], 16))
                values = torch.empty(parameter.shape).normal_(0.0, scale, generator=generator)
                parameter.copy_(values)
    return decoder
