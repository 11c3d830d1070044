"""Random smollm3 models in llama.cpp: its greedy tokens are ours, layers without positions included."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

xllamacpp = pytest.importorskip("xllamacpp")

from smolforge.engine import _native  # noqa: E402
from smolforge.engine.loaded import LoadedModel, open_model  # noqa: E402
from smolforge.export.llamacpp import start_server  # noqa: E402
from smolforge.formats.gguf_quantize import quantize_gguf  # noqa: E402
from tests.engine.gguf_models import write_random_gguf  # noqa: E402

PROMPTS = [[5, 9, 200, 31, 77, 12], list(range(20, 140, 3)), [300, 301, 302]]
NEW_TOKENS = 16
# Both sides round activations to 8 bits (llama.cpp in blocks of 256 for K types), which moves a logit by 5% of their
# root mean square of 1.5 (test_load_accuracy.py): the difference of two logits by 0.15 between two engines. Four times
# that may fall either way. A layer rotated that should not be, or rows in another order, moves them by 3 and more.
CLOSE = 0.6


def greedy_logits(model: LoadedModel, tokens: list[int]) -> np.ndarray:
    memory = _native.Pages(model.native, 4, "f16")
    count = len(tokens)
    return model.native.forward(
        memory, np.array(tokens, np.int32), np.zeros(1, np.int32), np.array([count], np.int32),
        np.arange(4, dtype=np.int32)[None], np.arange(count, dtype=np.int32),
    )  # fmt: skip


def llama_cpp_tokens(path: Path) -> list[list[int]]:
    """What llama.cpp goes on with, as ids: random models write bytes that are no text."""
    server = start_server(xllamacpp, str(path), 256)
    answers = []
    for prompt in PROMPTS:
        body = {
            "prompt": prompt,
            "n_predict": NEW_TOKENS,
            "temperature": 0,
            "return_tokens": True,
            "cache_prompt": False,
        }
        request = urllib.request.Request(
            server.listening_address + "/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as response:
            answers.append(json.load(response)["tokens"])
    return answers


def check(path: Path) -> None:
    """Feed llama.cpp's own tokens to ours: each must be our choice, or within the rounding of it."""
    model = open_model(path, cache=False)
    same = total = 0
    for prompt, answer in zip(PROMPTS, llama_cpp_tokens(path), strict=True):
        logits = greedy_logits(model, [*prompt, *answer])[len(prompt) - 1 : -1]
        for row, token in zip(logits, answer, strict=True):
            assert row.max() - row[token] < CLOSE, (row.max(), row[token])
            same += int(row.argmax() == token)
            total += 1
    assert total >= len(PROMPTS)
    assert same >= 0.75 * total


@pytest.mark.parametrize("kind", ["F16", "Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"])
def test_greedy_tokens_of_a_random_smollm3_are_those_of_llama_cpp(kind: str, tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "m.gguf", kind, {"tie_word_embeddings": kind != "Q8_0"})
    check(tmp_path / "m.gguf")


@pytest.mark.parametrize("kind", ["q4_0", "q4_1", "q8_0", "q4_k_m"])
def test_quantized_files_open_in_llama_cpp_with_our_greedy_tokens(kind: Any, tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "f16.gguf", "F16")
    quantize_gguf(tmp_path / "f16.gguf", tmp_path / "m.gguf", kind)
    check(tmp_path / "m.gguf")


def test_llama_with_every_layer_rotated_agrees_too(tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "m.gguf", "Q8_0", {"model_type": "llama"})
    check(tmp_path / "m.gguf")
