"""Model folders go to transformers and come back with equal logits; a wrong folder is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from smolforge.errors import DataError, FormatError
from smolforge.model.checkpoint import load_pretrained, save_pretrained
from smolforge.model.config import ModelConfig, YarnConfig
from smolforge.model.decoder import Decoder
from smolforge.model.hf_config import TokenIds, from_hf, to_hf, token_ids
from smolforge.model.initialise import initialise

transformers = pytest.importorskip("transformers")

SMALL = {"vocab_size": 80, "hidden_size": 32, "intermediate_size": 48, "n_layers": 4, "n_heads": 4, "n_kv_heads": 2}
CASES = {
    "smollm3": {},
    "untied": {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
    "yarn": {"rope_scaling": YarnConfig(2.0, 32), "max_position_embeddings": 64},
    "llama": {"architecture": "llama", "head_dim": 16},
}
TOKENS = torch.randint(80, (2, 40), generator=torch.Generator().manual_seed(4))


def made(**changes: object) -> Decoder:
    return initialise(Decoder(ModelConfig(**{**SMALL, "initializer_range": 0.2, **changes})), seed=5)


def logits(decoder: Decoder) -> torch.Tensor:
    with torch.no_grad():
        return decoder.logits(decoder(TOKENS))


@pytest.mark.parametrize("case", CASES)
def test_folder_opens_in_transformers_and_comes_back(case: str, tmp_path: Path) -> None:
    decoder = made(**CASES[case])
    save_pretrained(decoder, tmp_path / "ours", ids=TokenIds(bos=1, eos=(2, 3), pad=0))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    with torch.no_grad():
        torch.testing.assert_close(theirs(TOKENS).logits, logits(decoder), atol=1e-5, rtol=0)
    assert theirs.generation_config.eos_token_id == [2, 3]
    theirs.save_pretrained(tmp_path / "theirs")
    back = load_pretrained(tmp_path / "theirs")
    assert back.config == decoder.config
    assert torch.equal(logits(back), logits(decoder))
    assert token_ids(json.loads((tmp_path / "theirs" / "config.json").read_text())) == TokenIds(1, (2, 3), 0)


def test_sharded_folder_reads_the_same(tmp_path: Path) -> None:
    decoder = made()
    save_pretrained(decoder, tmp_path / "one")
    transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "one").save_pretrained(
        tmp_path / "many", max_shard_size="20KB"
    )
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    assert torch.equal(logits(load_pretrained(tmp_path / "many")), logits(decoder))
    next((tmp_path / "many").glob("model-00002*")).unlink()
    with pytest.raises(DataError, match=r"model-00002.*no such file"):
        load_pretrained(tmp_path / "many")


def test_bfloat16_is_stored_and_read(tmp_path: Path) -> None:
    decoder = made()
    save_pretrained(decoder, tmp_path, dtype=torch.bfloat16)
    back = load_pretrained(tmp_path, torch.bfloat16)
    assert {p.dtype for p in back.parameters()} == {torch.bfloat16}
    assert torch.equal(back.embed.weight, decoder.embed.weight.to(torch.bfloat16))
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


def test_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_pretrained(made(), tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_yarn_is_added_when_reading(tmp_path: Path) -> None:
    save_pretrained(made(max_position_embeddings=32), tmp_path)
    long = load_pretrained(tmp_path, rope_scaling=YarnConfig(2.0, 32), max_position_embeddings=64)
    assert long.config.max_position_embeddings == 64
    expected = made(max_position_embeddings=64, rope_scaling=YarnConfig(2.0, 32))
    assert torch.equal(logits(long), logits(expected))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "tensor 'model.layers.1.mlp.up_proj.weight' is missing"),
        ("unexpected", "tensor 'model.layers.0.self_attn.q_norm.weight' is not part"),
        ("shape", r"tensor 'model.norm.weight' has shape \[31\], expected \[32\]"),
        ("torn", "not a whole safetensors file"),
        ("untied", "'lm_head.weight' differs from the embedding"),
    ],
)
def test_damaged_weights_are_refused(damage: str, message: str, tmp_path: Path) -> None:
    save_pretrained(made(), tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    if damage == "missing":
        del tensors["model.layers.1.mlp.up_proj.weight"]
    elif damage == "unexpected":
        tensors["model.layers.0.self_attn.q_norm.weight"] = torch.ones(8)
    elif damage == "shape":
        tensors["model.norm.weight"] = torch.ones(31)
    elif damage == "untied":
        tensors["lm_head.weight"] = torch.zeros(80, 32)
    save_file(tensors, path)
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match=message):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen3"}, "model_type 'qwen3' is not supported"),
        ({"use_sliding_window": True}, "'use_sliding_window' is True"),
        ({"attention_dropout": 0.1}, "'attention_dropout' is 0.1"),
        ({"hidden_act": "gelu"}, "'hidden_act' is 'gelu'"),
        ({"layer_types": ["sliding_attention"] * 4}, "'layer_types'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope type 'llama3'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "mscale": 1.0}}, "YaRN key 'mscale'"),
        ({"vocab_size": None}, "'vocab_size' is None"),
        ({"rope_theta": 1.5e6}, "1500000.0 at the top and 50000.0"),
    ],
)
def test_unsupported_configurations_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        from_hf(to_hf(ModelConfig(**SMALL)) | changes)


def test_legacy_rope_fields_are_read() -> None:
    value = to_hf(ModelConfig(**SMALL))
    del value["rope_parameters"]
    value |= {"rope_theta": 1e6, "rope_scaling": {"type": "yarn", "factor": 2.0}}
    config = from_hf(value)
    assert config.rope_theta == 1e6
    assert config.rope_scaling == YarnConfig(2.0, config.max_position_embeddings)
