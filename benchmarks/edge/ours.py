"""Our engine below its scheduler: one sequence through the native model, as llama.cpp's bench tools time theirs.

In: a model file. Out: tokens per second of decoding and reading, seconds of a pass of k rows, with logits after every
row that is looked at. Nothing is sampled, as ``llama-bench`` samples nothing.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smolforge.engine import _native
from smolforge.engine.loaded import LoadedModel, open_model

Ids = NDArray[np.int32]


class Sequence:
    """One sequence of ``context`` positions over a loaded model; ``kv`` is how keys and values are kept."""

    def __init__(self, model: LoadedModel, context: int, kv: str = "f16") -> None:
        self.model, self.vocabulary = model, model.vocab_size
        size = _native.Pages(model.native, 1, kv).page_tokens  # type: ignore[arg-type]
        count = -(-context // size)
        self.memory = _native.Pages(model.native, count, kv)  # type: ignore[arg-type]
        self.pages = np.arange(count, dtype=np.int32)[None]
        self.draw = np.random.default_rng(0)

    def forward(self, tokens: Ids, start: int, outputs: Ids) -> NDArray[np.float32]:
        """Run ``tokens`` at positions ``start`` …; logits (m, vocab_size) after those that ``outputs`` index."""
        places = np.array([start], np.int32), np.array([len(tokens)], np.int32)
        return self.model.native.forward(self.memory, tokens, *places, self.pages, outputs)

    def random(self, count: int) -> Ids:
        """Tokens drawn evenly, as llama-bench draws them."""
        return self.draw.integers(0, self.vocabulary, count, np.int32)

    def prefill(self, tokens: int) -> float:
        """Tokens per second of reading a prompt of ``tokens`` in one pass, logits after its last."""
        prompt = self.random(tokens)
        begin = time.perf_counter()
        self.forward(prompt, 0, np.array([tokens - 1], np.int32))
        return tokens / (time.perf_counter() - begin)

    def decode(self, tokens: int, depth: int = 0) -> float:
        """Tokens per second of ``tokens`` single steps behind ``depth`` positions."""
        first = np.zeros(1, np.int32)
        inputs = self.random(tokens)
        begin = time.perf_counter()
        for step in range(tokens):
            self.forward(inputs[step : step + 1], depth + step, first)
        return tokens / (time.perf_counter() - begin)

    def rows(self, count: int, depth: int = 0, passes: int = 1) -> float:
        """Seconds of a pass of ``count`` rows with logits after every one, as a draft is verified."""
        tokens, outputs = self.random(count), np.arange(count, dtype=np.int32)
        begin = time.perf_counter()
        for _ in range(passes):
            self.forward(tokens, depth, outputs)
        return (time.perf_counter() - begin) / passes


def load(path: Path, threads: int, context: int | None = None) -> LoadedModel:
    """The model, packed once and mapped afterwards."""
    return open_model(path, threads=threads, context=context)
