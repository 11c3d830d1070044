"""Perplexity of a text by the definition of llama.cpp's `llama-perplexity`, so that figures can be laid side by side.

Input: an opened model and a text's tokens. Output: exp of the mean negative log-likelihood. The text is cut into chunks
of ``n_ctx`` tokens that know nothing of each other; only the second half of a chunk is scored, so that each scored
token has at least n_ctx / 2 tokens before it. What is left over at the end is not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.engine import _native
from smolforge.engine.loaded import LoadedModel
from smolforge.engine.sampler import no_numbers
from smolforge.errors import DataError

ROWS = 128  # logits held at a time


@dataclass(frozen=True)
class Perplexity:
    """``value``, its standard error, and how many tokens in how many chunks it is the mean of."""

    value: float
    error: float
    tokens: int
    chunks: int


def perplexity(
    model: LoadedModel, tokens: Sequence[int], n_ctx: int = 512, *,
    chunks: int | None = None, report: Callable[[int, int, float], None] = lambda done, of, value: None,
) -> Perplexity:  # fmt: skip
    """Score ``tokens`` (plain, without a begin token; where the model wants one, it replaces each chunk's first token).

    DataError for fewer than two chunks, as there, and for a model whose scores are not numbers. ``report`` is called
    after each chunk with the value so far.
    """
    if n_ctx < 8 or n_ctx > model.context:
        raise DataError(f"a chunk of {n_ctx} tokens: expected 8 to {model.context}, the model's context")
    if len(tokens) < 2 * n_ctx:
        raise DataError(f"the text has {len(tokens)} tokens; chunks of {n_ctx} need at least {2 * n_ctx}")
    count = min(len(tokens) // n_ctx, chunks or len(tokens))
    pages = _native.Pages(model.native, 1, "f16")
    pages = _native.Pages(model.native, -(-n_ctx // pages.page_tokens), "f16")
    losses: list[NDArray[np.float64]] = []
    for index in range(count):
        chunk = np.array(tokens[index * n_ctx : (index + 1) * n_ctx], np.int32)
        if model.facts.add_bos and model.facts.bos is not None:
            chunk[0] = model.facts.bos
        losses.append(_chunk(model, pages, chunk))
        if not np.isfinite(losses[-1]).all():
            raise no_numbers()
        report(index + 1, count, _exp(float(np.concatenate(losses).mean())))
    every = np.concatenate(losses)
    mean = float(every.mean())
    spread = float(every.std(ddof=1) / math.sqrt(len(every)))
    return Perplexity(_exp(mean), _exp(mean) * spread, len(every), count)


def _chunk(model: LoadedModel, pages: _native.Pages, chunk: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the negative log-likelihoods (nats) of the tokens after the middle."""
    first, n_ctx = len(chunk) // 2, len(chunk)
    _forward(model, pages, chunk, 0, first, last_only=True)
    parts = []
    for start in range(first, n_ctx - 1, ROWS):
        end = min(start + ROWS, n_ctx - 1)
        logits = _forward(model, pages, chunk, start, end, last_only=False)
        parts.append(_losses(logits, chunk[start + 1 : end + 1]))
    return np.concatenate(parts)


def _forward(
    model: LoadedModel, pages: _native.Pages, chunk: NDArray[np.int32], start: int, end: int, *, last_only: bool
) -> NDArray[np.float32]:
    """Run chunk[start:end] after what is in the pages; return its logits."""
    n = end - start
    outputs = np.array([n - 1], np.int32) if last_only else np.arange(n, dtype=np.int32)
    held = np.arange(-(-end // pages.page_tokens), dtype=np.int32)[None]
    one = np.array([start], np.int32), np.array([n], np.int32)
    return model.native.forward(pages, chunk[start:end], *one, held, outputs)


def _losses(logits: NDArray[np.float32], wanted: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return −log softmax(logits)[wanted] of each row, float64 (rows,)."""
    rows = np.arange(len(wanted))
    highest = logits.max(axis=1)
    sums = np.exp(logits - highest[:, None]).sum(axis=1, dtype=np.float64)
    losses: NDArray[np.float64] = np.log(sums) + highest - logits[rows, wanted]
    return losses


def _exp(mean: float) -> float:
    return math.exp(mean) if mean < 700 else math.inf
