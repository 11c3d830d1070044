"""Shapes count what their papers report, and a wrong field is named."""

from __future__ import annotations

import pytest

from smolforge.errors import ConfigError, FormatError
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


def test_training_flops_are_six_per_weight_plus_attention() -> None:
    config = preset("3b")
    assert config.flops_per_token(1) == pytest.approx(6 * config.parameter_count(), rel=0.01)
    extra = config.flops_per_token(4096) - config.flops_per_token(1)
    assert extra == 3 * 4 * 36 * 2048 * (4096 - 1) / 2
    assert config.flops_per_token(4096) == 3 * config.flops_per_token(4096, training=False)


def test_matmul_flops_are_what_torch_counts() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    config = preset("nano", n_layers=2)
    decoder, tokens = Decoder(config), torch.zeros(1, 64, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        decoder.logits(decoder(tokens))
    attention = 4 * 2 * config.query_size * 64 * 64
    counted = counter.get_total_flops()
    linear = 64 * 2 * config.matmul_parameters()
    assert counted in (linear, linear + attention)  # torch counts attention as dense, or on some devices not at all
    assert 64 * config.flops_per_token(64, training=False) == linear + attention / 2 * 65 / 64


def test_kv_cache_bytes() -> None:
    assert preset("3b").kv_cache_bytes_per_token() == 73_728


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_kv_heads": 2}, "n_kv_heads: 2 is not a divisor of n_heads 3"),
        ({"hidden_size": 0}, "hidden_size: 0 is not a positive integer"),
        ({"hidden_size": 191}, "hidden_size: 191 is not a multiple of n_heads"),
        ({"head_dim": 33}, "head_dim: 33"),
        ({"no_rope_layers": (1, 1)}, "no_rope_layers: .* 4 entries"),
        ({"architecture": "llama", "no_rope_layers": (1, 1, 1, 0)}, "all 1 for the 'llama'"),
        ({"architecture": "gpt2"}, "architecture: 'gpt2'"),
        ({"hiden_size": 256}, "unknown field 'hiden_size' \\(did you mean 'hidden_size'"),
        ({"rope_scaling": {"factor": 0.5, "original_max_position_embeddings": 10}}, "rope_scaling.factor: 0.5"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        preset("nano", **changes)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no preset 'nanno' \\(did you mean 'nano'"):
        preset("nanno")


def test_layers_follow_the_depth_of_an_override() -> None:
    assert preset("nano", n_layers=8).no_rope_layers == (1, 1, 1, 0, 1, 1, 1, 0)
    assert preset("135m", architecture="smollm3").no_rope_layers[3] == 0
    with pytest.raises(FormatError):
        from_hf({**to_hf(preset("nano")), "model_type": "gemma"})


def test_configuration_is_cheap_to_import() -> None:
    import subprocess
    import sys

    code = "import sys, smolforge.model.presets, smolforge.model.hf_config; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
