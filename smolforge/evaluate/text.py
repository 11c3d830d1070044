"""Bits per byte of held-out text under a language model, per language, beside a general compressor.

Input: a ``Generator``, a codec, held-out and training documents. Output: one summary per language.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from smolforge.evaluate.compression import XzResult, xz_bits_per_byte
from smolforge.evaluate.statistics import ratio_bootstrap
from smolforge.generator import Generator
from smolforge.tokens.special import END_OF_TEXT
from smolforge.tokens.template import ChatCodec

FIRST_TOKEN_SMOOTHING = 0.05
HEAD_CHARACTERS = 48


@dataclass(frozen=True)
class FirstToken:
    """The code for a document's first token, which no context predicts: smoothed counts of the training documents'."""

    counts: Counter[int]
    documents: int
    vocabulary: int

    @classmethod
    def fit(cls, codec: ChatCodec, documents: Sequence[str]) -> FirstToken:
        """Count the first tokens of ``documents`` (their heads are enough)."""
        counts = Counter(head[0] for head in codec.encode_text([text[:HEAD_CHARACTERS] for text in documents]) if head)
        return cls(counts, sum(counts.values()), codec.vocab_size)

    def bits(self, token: int) -> float:
        """Return −log₂ p with p = (count + a) / (documents + a · vocabulary)."""
        mass = self.documents + FIRST_TOKEN_SMOOTHING * self.vocabulary
        return -math.log2((self.counts.get(token, 0) + FIRST_TOKEN_SMOOTHING) / mass)


def windows(tokens: Sequence[int], window: int) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Cut a document into (context, scored) pairs that score every token but the first exactly once.

    The first pair fills a window; later ones score half a window after half a window of context.
    """
    pairs = [(tokens[:1], tokens[1:window])] if len(tokens) > 1 else []
    half = window // 2
    for start in range(window, len(tokens), half):
        pairs.append((tokens[start - (window - half) : start], tokens[start : start + half]))
    return pairs


def document_bits(
    generator: Generator, documents: Sequence[Sequence[int]], first: FirstToken, window: int, batch: int
) -> list[float]:
    """Return the bits each document costs: its first token by ``first``, the others by the model."""
    bits = [first.bits(tokens[0]) for tokens in documents]
    work = [(index, *pair) for index, tokens in enumerate(documents) for pair in windows(tokens, window)]
    work.sort(key=lambda entry: len(entry[1]) + len(entry[2]))
    for start in range(0, len(work), batch):
        part = work[start : start + batch]
        scores = generator.score([context for _, context, _ in part], [scored for _, _, scored in part])
        for (index, _, _), nats in zip(part, scores, strict=True):
            bits[index] -= nats / math.log(2)
    return bits


def measure_language(
    generator: Generator,
    codec: ChatCodec,
    held_out: Sequence[str],
    training: Sequence[str],
    *,
    window: int,
    batch: int,
) -> dict[str, Any]:
    """Return bits per byte with a bootstrap interval over documents, and what was counted."""
    end = codec.special[END_OF_TEXT]
    encoded = [[*ids, end] for ids in codec.encode_text(held_out)]
    sizes = [len(text.encode()) for text in held_out]
    bits = document_bits(generator, encoded, FirstToken.fit(codec, training), window, batch)
    value, low, high = ratio_bootstrap(bits, sizes)
    tokens = int(np.sum([len(ids) for ids in encoded]))
    return {"value": value, "low": low, "high": high, "bytes": sum(sizes), "documents": len(held_out), "tokens": tokens}


def start_xz(
    pool: ThreadPoolExecutor, held_out: dict[str, list[str]], training: dict[str, list[str]]
) -> dict[str, Any]:
    """Start one compression per language (the library works outside Python's lock); return futures by language."""
    by_cost = sorted(held_out, key=lambda language: -sum(map(len, training.get(language, []))))
    return {lang: pool.submit(xz_bits_per_byte, training.get(lang, []), held_out[lang]) for lang in by_cost}


def xz_summary(result: XzResult) -> dict[str, float | int]:
    """Return the compressor's result as a JSON object."""
    return asdict(result)
