"""The engine stands in for the torch reference wherever a ``Generator`` is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smolforge import Engine
from smolforge.generator import Generator, Request
from smolforge.tasks.chat import ChatModel, Turn, chat
from tests.engine.tiny_model import write_tiny_model

torch = pytest.importorskip("torch")


def test_float_weights_give_the_tokens_and_scores_of_torch(tmp_path: Path) -> None:
    from smolforge.model.checkpoint import load_pretrained
    from smolforge.model.generator import TorchGenerator

    folder = write_tiny_model(tmp_path / "model")
    reference = TorchGenerator(load_pretrained(folder, dtype=torch.float32))
    dice = np.random.default_rng(2)
    prompts = [dice.integers(0, 256, n).tolist() for n in (1, 5, 64, 65, 130, 300)]
    ends = [dice.integers(0, 256, n).tolist() for n in (3, 1, 20, 2, 70, 4)]
    with Engine.open(folder, weights="f32", kv_bytes=64 << 20, cache=False) as engine:
        for prompt, mine, theirs in zip(
            prompts, engine.score(prompts, ends), reference.score(prompts, ends), strict=True
        ):
            assert mine == pytest.approx(theirs, rel=2e-3), f"prompt of {len(prompt)} tokens"
        requests = [Request(prompt, 6) for prompt in prompts]
        pairs = zip(engine.generate(requests), reference.generate(requests), strict=True)
        assert sum(mine.tokens == theirs.tokens for mine, theirs in pairs) >= 5, "one near-tie may fall otherwise"


def test_a_task_runs_on_the_engine(tmp_path: Path) -> None:
    with Engine.open(write_tiny_model(tmp_path / "model"), kv_bytes=64 << 20, cache=False) as engine:
        generator: Generator = engine
        model = ChatModel(generator, engine.codec, engine.vocab_size, engine.context)  # type: ignore[arg-type]
        turns = [Turn([{"role": "user", "content": text}]) for text in ("turn on the light", "please")]
        answers = chat(model, turns, max_tokens=8)
        assert [len(answer.tokens) <= 8 for answer in answers] == [True, True]
        assert answers == chat(model, turns, max_tokens=8)
