"""Shapes count what their papers report, and a wrong field is named."""

from __future__ import annotations

import pytest

from smolforge.model.config import YarnConfig
from smolforge.model.decoder import Decoder
from smolforge.model.hf_config import from_hf, to_hf
from smolforge.model.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("name", "count"),
    [("135m", 134_515_008), ("0.3b", 361_821_120), ("1.7b", 1_711_376_384), ("3b", 3_075_098_624)],
)
def test_presets_count_the_published_parameters(name: str, count: int) -> None:
    assert preset(name).parameter_count() == count


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}, {"attention_bias": True, "mlp_bias": True}])
def test_parameter_count_is_that_of_the_module(changes: dict[str, bool]) -> None:
    config = preset("nano", **changes)
    assert sum(p.numel() for p in Decoder(config).parameters()) == config.parameter_count()


def test_smollm3_has_no_positions_in_every_fourth_layer() -> None:
    assert [i for i, on in enumerate(preset("3b").no_rope_layers) if not on] == [3, 7, 11, 15, 19, 23, 27, 31, 35]


@pytest.mark.parametrize("name", PRESETS)
def test_hugging_face_form_round_trips(name: str) -> None:
    config = preset(name, rope_scaling=YarnConfig(2.0, 512))
    assert from_hf(to_hf(config)) == config
    assert from_hf(to_hf(preset(name))) == preset(name)
