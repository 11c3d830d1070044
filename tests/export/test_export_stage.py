"""The export stage on a model that learned something: files open elsewhere, and parity is measured, not assumed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from smolforge.errors import ConfigError, FormatError  # noqa: E402
from smolforge.export import gguf, parity  # noqa: E402
from smolforge.export.config import ExportConfig  # noqa: E402
from smolforge.export.llamacpp import run_llama_cpp  # noqa: E402
from smolforge.export.prompts import read_items  # noqa: E402
from smolforge.export.stage import run  # noqa: E402
from smolforge.export.tokenizer import gguf_tokenizer  # noqa: E402
from smolforge.formats.gguf_model import GGUFModel  # noqa: E402
from smolforge.formats.gguf_tokenizer import TokenType  # noqa: E402
from smolforge.model.checkpoint import load_pretrained  # noqa: E402
from smolforge.model.config import YarnConfig  # noqa: E402
from smolforge.store import Artifact, StageContext, StageOutcome, digest_file, read_json  # noqa: E402
from smolforge.tokens.template import ChatCodec  # noqa: E402

CONFIG = ExportConfig(parity_items=30, parity_prompts=6, max_new_tokens=60, llama_cpp_prompts=10)
needs_llama_cpp = pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp not installed")


@pytest.fixture(scope="module")
def exported(inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StageOutcome]:
    work = tmp_path_factory.mktemp("export")
    (work / "leftover.part").write_text("of an interrupted try")
    return work, run(CONFIG, StageContext(work, inputs, seed=0))


def rows_by_name(work: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in read_json(work / "exports.json")}


def test_every_format_is_written_with_its_figures(exported: tuple[Path, StageOutcome]) -> None:
    work, outcome = exported
    rows = rows_by_name(work)
    assert list(rows) == ["reference", "hf", "gguf-f16", "gguf-q8_0", "gguf-q4_0"]
    assert not (work / "leftover.part").exists()
    assert rows["reference"]["calls_exact"] == 1.0  # the fixture's model knows its rows
    assert rows["gguf-f16"]["calls_exact"] == 1.0
    sizes = [rows[name]["bytes"] for name in ("reference", "gguf-f16", "gguf-q8_0", "gguf-q4_0")]
    assert sizes == sorted(sizes, reverse=True)
    assert rows["gguf-q4_0"]["bytes"] == (work / rows["gguf-q4_0"]["path"]).stat().st_size
    assert outcome.metrics["gguf-q8_0/calls_exact"] == rows["gguf-q8_0"]["calls_exact"]


def test_parity_grows_with_fewer_bits_and_the_float32_folder_is_exact(exported: tuple[Path, StageOutcome]) -> None:
    rows = rows_by_name(exported[0])
    differences = [
        rows[name]["parity"]["logits"]["max_logit_difference"] for name in ("hf", "gguf-f16", "gguf-q8_0", "gguf-q4_0")
    ]
    assert differences[0] == 0.0
    assert differences == sorted(differences)
    assert rows["gguf-f16"]["parity"]["logits"]["max_logit_difference"] < 0.05
    assert rows["gguf-q8_0"]["parity"]["logits"]["top1_agreement"] > 0.98
    assert 0 < rows["gguf-q4_0"]["parity"]["logits"]["mean_kl"] < 0.5


def test_parity_names_the_digest_and_the_layers_with_positions(exported: tuple[Path, StageOutcome]) -> None:
    work, _ = exported
    written = read_json(work / "gguf" / "model-q4_0.parity.json")
    assert written["files"]["model-q4_0.gguf"]["blake2b_128"] == digest_file(work / "gguf" / "model-q4_0.gguf")
    assert written["architecture"] == "smollm3"
    assert written["no_rope_layers"] == [1, 1, 1, 0]
    assert written["tensor_types"]["model.embed_tokens.weight"] == "Q8_0"
    assert written["tensor_types"]["model.layers.0.mlp.down_proj.weight"] == "Q4_0"
    assert written["tensor_types"]["model.norm.weight"] == "F32"


def test_transformers_opens_the_folder_with_equal_logits_and_template(
    exported: tuple[Path, StageOutcome], inputs: dict[str, Artifact]
) -> None:
    transformers = pytest.importorskip("transformers")
    folder = exported[0] / "hf"
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    codec = ChatCodec.open(inputs["tokenizer"].path)
    asked = [{"role": "user", "content": "Turn on the light, Küche!"}]
    ids = codec.prompt(asked, mode="no_think")
    text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids
    reference = load_pretrained(inputs["merge"].path / "model")
    with torch.inference_mode():
        ours = reference.logits(reference(torch.tensor([ids])))
        torch.testing.assert_close(model(torch.tensor([ids])).logits, ours, atol=1e-4, rtol=1e-4)
    assert set(model.generation_config.eos_token_id) == codec.stop


def test_the_header_carries_the_tokenizer(exported: tuple[Path, StageOutcome], inputs: dict[str, Artifact]) -> None:
    data = GGUFModel(exported[0] / "gguf" / "model-f16.gguf").tokenizer
    codec = ChatCodec.open(inputs["tokenizer"].path)
    assert data.pre == read_json(inputs["tokenizer"].path / "special_tokens.json")["ggml_pre"]
    assert data.tokens[data.eos or 0] == "<|im_end|>"
    assert data.add_bos is False
    assert data.types[codec.special["<|im_start|>"]] is TokenType.CONTROL
    assert data.types[codec.special["<tool_call>"]] is TokenType.USER_DEFINED
    assert data.chat_template == (inputs["tokenizer"].path / "chat_template.jinja").read_text(encoding="utf-8")


@needs_llama_cpp
def test_llama_cpp_gives_our_greedy_tokens_on_ten_prompts(exported: tuple[Path, StageOutcome]) -> None:
    for name, row in rows_by_name(exported[0]).items():
        if name.startswith("gguf"):
            found = row["parity"]["llama_cpp"]
            assert (name, found["same_greedy_tokens"], found["prompts"]) == (name, 10, 10)
            assert row["tokens_per_second"] > 0


@needs_llama_cpp
def test_llama_cpp_computes_yarn_and_the_llama_architecture_as_we_do(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    """The trained weights under other positions: whatever they now answer, both answer it."""
    from smolforge.export import quantize
    from smolforge.formats.gguf_names import expected_shapes
    from smolforge.model.decoder import Decoder

    trained = load_pretrained(inputs["merge"].path / "model")
    codec = ChatCodec.open(inputs["tokenizer"].path)
    items = read_items(inputs["synthesize"].path / "commands_seen.jsonl", codec, 6, seed=0)
    changes: list[dict[str, Any]] = [
        {"rope_scaling": YarnConfig(factor=4.0, original_max_position_embeddings=128)},
        {"architecture": "llama", "no_rope_layers": ()},
    ]
    for number, change in enumerate(changes):
        decoder = Decoder(trained.config.with_(**change))
        decoder.load_state_dict(trained.state_dict())
        path = tmp_path / f"{number}.gguf"
        plan = quantize.plan_types(expected_shapes(gguf.flat(decoder.config)), "F32", "F32")
        data = gguf_tokenizer(inputs["tokenizer"].path, decoder.config.vocab_size)
        gguf.write_model(path, decoder, gguf.header(decoder.config, data, "F32", "t"), plan)
        ours = [given.tokens for given in parity.answer(gguf.load_decoder(path), items, codec, 24)]
        assert run_llama_cpp(path, [item.prompt for item in items], 24, codec.stop).tokens == ours


def test_differences_name_the_place_and_the_margin(inputs: dict[str, Artifact]) -> None:
    decoder = load_pretrained(inputs["merge"].path / "model")
    codec = ChatCodec.open(inputs["tokenizer"].path)
    items = read_items(inputs["synthesize"].path / "commands_seen.jsonl", codec, 2, seed=0)
    prompts = [item.prompt for item in items]
    ours = [given.tokens for given in parity.answer(decoder, items, codec, 12)]
    other = [ours[0], [*ours[1][:3], ours[1][3] + 1, 5]]
    (found,) = parity.first_differences(decoder, prompts, ours, other)
    assert (found["prompt"], found["position"], found["ours"], found["theirs"]) == (1, 3, ours[1][3], ours[1][3] + 1)
    assert found["logit_margin"] > 0
    (ended,) = parity.first_differences(decoder, prompts[:1], ours[:1], [ours[0][:2]])
    assert (ended["position"], ended["theirs"], ended["logit_margin"]) == (2, None, None)


def test_a_layer_pattern_gguf_cannot_express_is_refused_before_anything_is_written(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    model = tmp_path / "merge"
    model.mkdir()
    (model / "model").mkdir()
    source = inputs["merge"].path
    config = read_json(source / "model" / "config.json") | {"no_rope_layers": [1, 0, 1, 0]}
    (model / "model" / "config.json").write_text(json.dumps(config))
    (model / "model" / "model.safetensors").write_bytes((source / "model" / "model.safetensors").read_bytes())
    work = tmp_path / "work"
    work.mkdir()
    broken = {**inputs, "merge": Artifact(model, inputs["merge"].manifest)}
    with pytest.raises(FormatError, match=r"this model has layers \[1, 3\]"):
        run(ExportConfig(formats=("gguf-f16",), parity_items=2, max_new_tokens=4), StageContext(work, broken, seed=0))
    assert list(work.rglob("*.gguf")) == []


def test_a_missing_stage_is_named(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no stage 'merg' before it .did you mean 'merge'"):
        run(ExportConfig(subject="merg"), StageContext(tmp_path, inputs, seed=0))


def test_the_same_inputs_give_the_same_bytes(
    exported: tuple[Path, StageOutcome], inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"formats": ("hf", "gguf-q4_0"), "llama_cpp_prompts": 0})
    run(config, StageContext(tmp_path, inputs, seed=0))
    for name in ("gguf/model-q4_0.gguf", "hf/model.safetensors", "hf/config.json", "hf/tokenizer_config.json"):
        assert digest_file(tmp_path / name) == digest_file(exported[0] / name)
    figures = read_json(tmp_path / "gguf" / "model-q4_0.parity.json")
    assert figures["llama_cpp"] == "not checked: llama_cpp_prompts is 0"


def test_loading_a_file_gives_the_weights_that_were_written(
    exported: tuple[Path, StageOutcome], inputs: dict[str, Artifact]
) -> None:
    trained = dict(load_pretrained(inputs["merge"].path / "model").named_parameters())
    loaded = dict(gguf.load_decoder(exported[0] / "gguf" / "model-f16.gguf").named_parameters())
    for name, weights in trained.items():
        np.testing.assert_allclose(loaded[name].detach(), weights.detach(), rtol=1e-3, atol=1e-6)
