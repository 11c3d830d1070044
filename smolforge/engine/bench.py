"""What a model does on this machine: prefill, decode, several rows in one pass, and how near that is to the roof.

Input: an opened model. Output: seconds and rates, the median of repeated passes over random tokens: speed does not
depend on what a text says. Nothing but the model's own forward pass is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from smolforge.engine import _native
from smolforge.engine.loaded import LoadedModel

CHUNK = 512  # prompt tokens in one pass
ROWS = (1, 2, 4, 8)
Report = Callable[[str], None]


@dataclass(frozen=True)
class Speed:
    """Tokens per second of reading a prompt and of writing after it; seconds of a pass over k rows, by k."""

    prompt: int
    prefill: float
    decode: float
    row_seconds: dict[int, float]


class Bench:
    """One model with room for a prompt and what is written after it. ``kv``: how keys and values are kept."""

    def __init__(
        self, model: LoadedModel, kv: Literal["f16", "bf16", "q8", "q4"], positions: int, seed: int = 0
    ) -> None:
        self._model = model
        one = _native.Pages(model.native, 1, kv)
        self._pages = _native.Pages(model.native, -(-positions // one.page_tokens), kv)
        self._held = np.arange(self._pages.pages, dtype=np.int32)[None]
        self._tokens = np.random.default_rng(seed).integers(0, model.vocab_size, positions, dtype=np.int32)

    def measure(self, prompt: int, steps: int, repeats: int, report: Report) -> Speed:
        """Read ``prompt`` tokens ``repeats`` times, then write ``steps`` tokens, then run k rows."""
        report("prefill")
        reading = [self._prefill(prompt) for _ in range(repeats)]
        report("decode")
        writing = [self._timed(prompt + step, 1) for step in range(steps)]
        rows = {}
        for k in ROWS:
            report(f"{k} rows")
            rows[k] = median(self._timed(prompt, k) for _ in range(max(repeats, steps // 2)))
        return Speed(prompt, prompt / median(reading), 1 / median(writing), rows)

    def _prefill(self, prompt: int) -> float:
        return sum(self._timed(start, min(CHUNK, prompt - start), last=True) for start in range(0, prompt, CHUNK))

    def _timed(self, start: int, count: int, last: bool = False) -> float:
        """Run tokens at ``start`` and return the seconds; logits of all of them, or of the last."""
        outputs = np.array([count - 1], np.int32) if last else np.arange(count, dtype=np.int32)
        arguments = np.array([start], np.int32), np.array([count], np.int32), self._held, outputs
        began = time.perf_counter()
        self._model.native.forward(self._pages, self._tokens[start : start + count], *arguments)
        return time.perf_counter() - began


def positions(prompt: int, steps: int) -> int:
    """Return the positions that a measurement needs."""
    return prompt + max(steps, *ROWS)
