"""A model file in fewer bits: the recipe decides the types, the weights stay close, llama.cpp answers alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smolforge.errors import ConfigError, FormatError
from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_quantize import quantize_gguf
from smolforge.formats.gguf_types import plan
from smolforge.formats.safetensors_io import SafetensorsFile, write_safetensors
from tests.engine.gguf_models import write_random_gguf
from tests.engine.tiny_model import write_tiny_model

ERROR = {"q4_0": 0.11, "q4_1": 0.09, "q8_0": 0.008, "q4_k_m": 0.09}  # root mean square, relative; normal weights


@pytest.mark.parametrize("kind", ERROR)
def test_weights_stay_close_and_the_header_is_kept(kind: Any, tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "f16.gguf", "F16")
    seen: list[float] = []
    done = quantize_gguf(
        tmp_path / "f16.gguf", tmp_path / "q.gguf", kind, threads=2, progress=lambda share, _: seen.append(share)
    )
    assert seen == sorted(seen) and (seen[0], seen[-1]) == (0.0, 1.0)
    before, after = GGUFModel(tmp_path / "f16.gguf"), GGUFModel(tmp_path / "q.gguf")
    assert before.config == after.config
    assert before.tokenizer == after.tokenizer
    assert done.bytes == (tmp_path / "q.gguf").stat().st_size < done.source_bytes
    assert sum(done.types.values()) == len(after.file.tensors)
    for name, shape in after.shapes.items():
        x, y = before.array(name), after.array(name)
        error = np.sqrt(((x - y) ** 2).mean() / (x**2).mean())
        assert error < (ERROR[kind] if len(shape) == 2 else 1e-7), name


def test_q4_k_m_gives_six_bits_where_errors_weigh_most(tmp_path: Path) -> None:
    shapes = {"model.embed_tokens.weight": (512, 256), "model.norm.weight": (256,)}
    for layer in range(8):
        for part, cols in (("self_attn.q_proj", 256), ("self_attn.v_proj", 256), ("mlp.down_proj", 512)):
            shapes[f"model.layers.{layer}.{part}.weight"] = (256, cols)
    found = {name: planned.kind.name for name, planned in plan(shapes, "q4_k_m").items()}
    assert found["model.embed_tokens.weight"] == "Q6_K"  # tied: it makes the logits
    assert found["model.norm.weight"] == "F32"
    assert [found[f"model.layers.{layer}.mlp.down_proj.weight"] for layer in range(8)] == [
        "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q6_K",
    ]  # fmt: skip
    assert {found[f"model.layers.{layer}.self_attn.q_proj.weight"] for layer in range(8)} == {"Q4_K"}
    untied = plan({**shapes, "lm_head.weight": (512, 256)}, "q4_k_m")
    assert (untied["lm_head.weight"].kind.name, untied["model.embed_tokens.weight"].kind.name) == ("Q6_K", "Q4_K")


def test_rows_that_are_not_whole_super_blocks_fall_back_as_in_llama_cpp(tmp_path: Path) -> None:
    shapes = {"model.layers.0.self_attn.q_proj.weight": (64, 96), "model.layers.0.mlp.down_proj.weight": (64, 40)}
    found = plan({**shapes, "model.embed_tokens.weight": (64, 96)}, "q4_k_m")
    assert [planned.kind.name for planned in found.values()] == ["Q5_0", "F16", "Q8_0"]
    assert "rows of 96 weights are not whole blocks of 256" in str(found["model.embed_tokens.weight"].note)


def test_a_folder_becomes_a_gguf_of_the_same_model(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", "chat_template": "{{ 1 }}"}))
    quantize_gguf(folder, tmp_path / "m.gguf", "q8_0")
    model = GGUFModel(tmp_path / "m.gguf")
    source = SafetensorsFile(folder / "model.safetensors")
    for name in model.shapes:
        np.testing.assert_allclose(model.array(name), source.array(name), atol=0.02)
    assert model.config["no_rope_layers"] == [1, 1, 1, 0]
    assert model.tokenizer.tokens[model.tokenizer.eos or 0] == "<|im_end|>"
    assert model.tokenizer.chat_template == "{{ 1 }}"


def test_llama3_positions_become_frequency_factors(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling["original_max_position_embeddings"] = 64
    config |= {"model_type": "llama", "rope_scaling": scaling}
    del config["no_rope_layers"]
    (folder / "config.json").write_text(json.dumps(config))
    quantize_gguf(folder, tmp_path / "m.gguf", "q4_0")
    factors = GGUFModel(tmp_path / "m.gguf").config["rope_scaling"]["factors"]
    assert (factors[0], factors[-1]) == (1.0, pytest.approx(8.0, rel=1e-5))


def test_what_is_quantized_already_is_said(tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "q5.gguf", "Q5_0")
    done = quantize_gguf(tmp_path / "q5.gguf", tmp_path / "q4.gguf", "q4_0")
    assert "quantized already (Q5_0)" in done.notes[0]


def test_wrong_requests_leave_no_file(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_random_gguf(path, "F16")
    with pytest.raises(ConfigError, match="did you mean 'q4_k_m'"):
        quantize_gguf(path, tmp_path / "o.gguf", "q4_k")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the target is the source"):
        quantize_gguf(path, path, "q4_0")
    folder = write_tiny_model(tmp_path / "tiny")
    file = SafetensorsFile(folder / "model.safetensors")
    arrays = {name: file.array(name).copy() for name in file.entries}
    del file
    arrays["model.layers.1.mlp.up_proj.weight"][0, 0] = np.inf
    write_safetensors(folder / "model.safetensors", arrays)
    with pytest.raises(FormatError, match=r"'model\.layers\.1\.mlp\.up_proj\.weight': .*NaN or infinite"):
        quantize_gguf(folder, tmp_path / "o.gguf", "q4_0")
    assert not (tmp_path / "o.gguf").exists()
