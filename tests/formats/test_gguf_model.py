"""GGUF as a model: names, row order, config and tokenizer survive the way there and back; misfits are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from smolforge.errors import FormatError
from smolforge.formats.blocks import block_type, quantize
from smolforge.formats.gguf_metadata import architecture_for, shape_metadata
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_names import expected_shapes, gguf_name, hf_name, rotary_heads, to_gguf_rows, to_hf_rows
from smolforge.formats.gguf_tokenizer import TokenType, from_tokenizer_json, to_tokenizer_json, tokenizer_metadata
from smolforge.formats.gguf_write import TensorSpec, write_gguf
from smolforge.formats.hf_config import flat_config, read_config
from smolforge.formats.pre_tokenizers import SPLITS, expressions, pre_tokenizer_json

TEXT = [
    "Allume la lumière du salon, s'il te plaît !",
    "Mach das Licht um 17:45 aus.",
    "打开客厅的灯",
    "أطفئ الضوء",
    "x = 12345",
]


def raw_config(**changes: Any) -> dict[str, Any]:
    return {
        "model_type": "smollm3",
        "vocab_size": 320,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 12345.0},
        **changes,
    }


def train_tokenizer(pre: str) -> dict[str, Any]:
    tokenizer = Tokenizer(models.BPE())
    value = json.loads(tokenizer.to_str()) | {"pre_tokenizer": pre_tokenizer_json(pre)}
    tokenizer = Tokenizer.from_str(json.dumps(value))
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXT * 3, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens(["<think>"])
    trained: dict[str, Any] = json.loads(tokenizer.to_str())
    trained["model"]["ignore_merges"] = pre == "llama-bpe"
    return trained


def write_model(path: Path, config: dict[str, Any], metadata: dict[str, Any] | None = None) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in expected_shapes(config).items()}
    data = from_tokenizer_json(train_tokenizer("smollm"), "smollm", config["vocab_size"], "t")
    specs, stored = [], []
    for name, array in arrays.items():
        heads = rotary_heads(name, config)
        rows = to_gguf_rows(array, heads) if heads else array
        specs.append(TensorSpec(gguf_name(name), array.shape, block_type("F32")))
        stored.append(quantize(rows, block_type("F32")))
    write_gguf(path, {**shape_metadata(config), **tokenizer_metadata(data), **(metadata or {})}, specs, stored)
    return arrays


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model_type": "llama", "tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
        {"head_dim": 32},
        {
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 2.0,
                "original_max_position_embeddings": 512,
                "beta_fast": 16.0,
            }
        },
    ],
)
def test_a_model_survives_the_file(changes: dict[str, Any], tmp_path: Path) -> None:
    config = flat_config(raw_config(**changes), "config")
    arrays = write_model(tmp_path / "m.gguf", config)
    model = GGUFModel(tmp_path / "m.gguf")
    assert model.config == {**config, "rms_norm_eps": pytest.approx(1e-6)}
    assert list(model.shapes) == list(arrays)
    for name, array in model.tensors():
        np.testing.assert_array_equal(array, arrays[name])
    raw, kind = model.blocks("model.layers.0.self_attn.q_proj.weight")
    np.testing.assert_array_equal(raw.view("<f4"), arrays["model.layers.0.self_attn.q_proj.weight"])
    assert kind.name == "F32"


def test_names_map_both_ways() -> None:
    for name in expected_shapes(flat_config(raw_config(attention_bias=True, tie_word_embeddings=False), "c")):
        assert hf_name(gguf_name(name)) == name
    with pytest.raises(FormatError, match="no place in a GGUF file"):
        gguf_name("model.layers.0.self_attn.q_norm.weight")
    with pytest.raises(FormatError, match="no Llama-family model"):
        hf_name("rope_freqs.weight")


def test_row_order_pairs_neighbours_and_is_undone() -> None:
    rows = np.arange(16)  # two heads of eight
    assert to_gguf_rows(rows, 2)[:8].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    np.testing.assert_array_equal(to_hf_rows(to_gguf_rows(rows, 2), 2), rows)


def test_a_pattern_without_a_gguf_architecture_is_refused_with_the_reason() -> None:
    config = flat_config(raw_config(no_rope_layers=[1, 0, 1, 0]), "config")
    with pytest.raises(FormatError, match=r"exactly every 4th layer.*this model has layers \[1, 3\]"):
        shape_metadata(config)
    assert architecture_for(flat_config(raw_config(no_rope_layers=[1, 1, 1, 0]), "c")) == "smollm3"
    assert architecture_for(flat_config(raw_config(no_rope_layers=[1, 1, 1, 1]), "c")) == "llama"


def test_yarn_that_llama_cpp_computes_otherwise_is_refused() -> None:
    yarn = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 512, "attention_factor": 1.5}
    with pytest.raises(FormatError, match="attention_factor"):
        shape_metadata(flat_config(raw_config(rope_scaling=yarn), "config"))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"general.architecture": "lama"}, "did you mean 'llama'"),
        ({"smollm3.expert_count": 8}, "smollm3.expert_count"),
        ({"smollm3.attention.sliding_window": 128}, "sliding_window"),
        ({"smollm3.rope.scaling.type": "linear"}, "'linear' is not supported"),
        ({"smollm3.rope.dimension_count": 8}, "must equal the head size 16"),
        ({"smollm3.block_count": 4_000_000_000}, "layers announced"),
        ({"smollm3.block_count": 5}, "no tensor 'blk.4"),
        ({"smollm3.block_count": 3}, "tensor 'blk.3.attn_norm.weight' is not part"),
        ({"smollm3.feed_forward_length": 95}, "has shape"),
        ({"smollm3.embedding_length": 0}, "hidden_size = 0"),
        ({"smollm3.attention.head_count_kv": 3}, "must divide"),
        ({"smollm3.attention.head_count": np.array([4, 4], np.int32)}, "expected int, found ndarray"),
        ({"tokenizer.ggml.model": "llama"}, "only 'gpt2'"),
        ({"tokenizer.ggml.tokens": ["a", "a"]}, "same token twice"),
        ({"tokenizer.ggml.tokens": ["a", "b"]}, "expected 2 integers"),
        ({"tokenizer.ggml.merges": ["ab"]}, "merges[0]"),
        ({"tokenizer.ggml.merges": ["a no-token"]}, "merges[0]: 'a no-token' does not make a token"),
        ({"tokenizer.ggml.eos_token_id": 320}, "not one of the 320 tokens"),
    ],
)
def test_headers_that_do_not_fit_the_model_are_refused(metadata: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_model(tmp_path / "m.gguf", flat_config(raw_config(), "config"), metadata)
    with pytest.raises(FormatError) as caught:
        GGUFModel(tmp_path / "m.gguf")
    assert message in str(caught.value)


@pytest.mark.parametrize("pre", sorted(SPLITS))
def test_a_tokenizer_survives_the_metadata(pre: str) -> None:
    value = train_tokenizer(pre)
    data = from_tokenizer_json(value, pre, 320, "tokenizer.json")
    assert len(data.tokens) == 320
    assert data.types[-1] is TokenType.UNUSED
    before, after = (Tokenizer.from_str(json.dumps(v)) for v in (value, to_tokenizer_json(data)))
    for text in [*TEXT, "<|im_start|>user\n a  b\t12 34<think>\n\n", "it's   ..\r\n\n x "]:
        assert after.encode(text).ids == before.encode(text).ids
        assert after.decode(after.encode(text).ids, skip_special_tokens=False) == text


def test_other_spellings_of_a_split_are_recognised() -> None:
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    assert expressions({"type": "Sequence", "pretokenizers": [digits, byte_level]}) == SPLITS["smollm"]
    llama3 = pre_tokenizer_json("llama-bpe")
    llama3["pretokenizers"][0]["pattern"]["Regex"] = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    )
    assert expressions(llama3) == SPLITS["llama-bpe"]
    for other in (None, {"type": "Whitespace"}, {**byte_level, "add_prefix_space": True}):
        assert expressions(other) is None


def test_control_and_user_defined_tokens_are_told_apart() -> None:
    data = from_tokenizer_json(train_tokenizer("smollm"), "smollm", 320, "t")
    kinds = dict(zip(data.tokens, data.types, strict=True))
    assert (kinds["<|im_end|>"], kinds["<think>"], kinds["a"]) == (
        TokenType.CONTROL,
        TokenType.USER_DEFINED,
        TokenType.NORMAL,
    )


def test_a_tokenizer_that_llama_cpp_would_read_otherwise_is_refused() -> None:
    value = train_tokenizer("smollm")
    for changed, message in (
        ({**value, "normalizer": {"type": "NFC"}}, "normalizer"),
        ({**value, "decoder": None}, "byte-level BPE"),
        ({**value, "model": {**value["model"], "ignore_merges": True}}, "ignore_merges"),
        ({**value, "pre_tokenizer": pre_tokenizer_json("qwen2")}, "does not split text as llama.cpp's 'smollm'"),
    ):
        with pytest.raises(FormatError, match=message):
            from_tokenizer_json(changed, "smollm", 320, "t")
    with pytest.raises(FormatError, match="did you mean 'smollm'"):
        from_tokenizer_json(value, "smolm", 320, "t")
    with pytest.raises(FormatError, match="does not fit the model's vocabulary of 10"):
        from_tokenizer_json(value, "smollm", 10, "t")
    with pytest.raises(FormatError, match="did you mean 'smollm'"):
        to_tokenizer_json(replace(from_tokenizer_json(value, "smollm", 320, "t"), pre="smolm"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "lama"}, "did you mean 'llama'"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"hidden_size": 0}, "hidden_size = 0"),
        ({"vocab_size": None}, "'vocab_size' is missing"),
        ({"no_rope_layers": [1, 2, 1, 1]}, "no_rope_layers"),
        (
            {"rope_scaling": {"rope_type": "linear", "factor": 8.0}, "rope_parameters": None},
            "'linear' is not supported",
        ),
        ({"layer_types": ["sliding_attention"] * 4}, "layer_types"),
    ],
)
def test_a_config_that_means_something_else_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(raw_config(**changes)))
    with pytest.raises(FormatError) as caught:
        read_config(tmp_path)
    assert message in str(caught.value)
