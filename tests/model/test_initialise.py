"""Initial weights depend on the seed and the name only, with SmolLM3's spreads."""

from __future__ import annotations

import math

import pytest
import torch

from smolforge.model.decoder import Decoder
from smolforge.model.initialise import initialise
from smolforge.model.presets import preset


def test_spreads_are_smollm3s() -> None:
    decoder = initialise(Decoder(preset("nano", tie_word_embeddings=False, initializer_range=0.02)), seed=0)
    for name, parameter in decoder.named_parameters():
        if "norm" in name:
            assert (parameter == 1).all()
            continue
        into_residual = name.endswith(("attention.out.weight", "mlp.down.weight"))
        expected = 0.02 / math.sqrt(8) if into_residual else 0.02
        assert parameter.std().item() == pytest.approx(expected, rel=0.02), name
        assert abs(parameter.mean().item()) < 5 * expected / math.sqrt(parameter.numel())


def test_a_seed_gives_the_same_weights_whatever_else_is_in_the_model() -> None:
    small = initialise(Decoder(preset("nano", n_layers=2)), seed=7)
    again = initialise(Decoder(preset("nano", n_layers=2, tie_word_embeddings=False)), seed=7)
    other = initialise(Decoder(preset("nano", n_layers=2)), seed=8)
    assert torch.equal(small.layers[1].mlp.gate_up.weight, again.layers[1].mlp.gate_up.weight)
    assert not torch.equal(small.embed.weight, other.embed.weight)
    assert not torch.equal(small.layers[0].mlp.gate_up.weight, small.layers[1].mlp.gate_up.weight)
