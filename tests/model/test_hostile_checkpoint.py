"""A config.json that the tensors do not fit is refused before memory is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from smolforge.errors import SmolforgeError
from smolforge.model.checkpoint import load_pretrained, save_pretrained
from smolforge.model.config import ModelConfig
from smolforge.model.decoder import Decoder
from smolforge.model.initialise import initialise

SHAPE = ModelConfig(vocab_size=80, hidden_size=32, intermediate_size=48, n_layers=4, n_heads=4, n_kv_heads=2)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 1 << 40},
        {"vocab_size": 1 << 50},
        {"intermediate_size": 1 << 45},
        {"num_hidden_layers": 1 << 40, "no_rope_layers": None},
        {"num_hidden_layers": 4000, "no_rope_layers": None, "layer_types": None},
        {"head_dim": 1 << 44},
        {"num_attention_heads": 1 << 42, "num_key_value_heads": 1 << 42},
    ],
)
def test_sizes_beyond_the_file_are_refused_before_anything_is_allocated(
    changes: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pretrained(initialise(Decoder(SHAPE), seed=1), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("memory was taken")

    monkeypatch.setattr(torch.nn.Module, "to_empty", never)
    with pytest.raises(SmolforgeError):
        load_pretrained(tmp_path)
