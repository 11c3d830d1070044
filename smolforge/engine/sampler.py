"""From one row of scores to a token: the best one, or a draw whose randomness belongs to request and position.

Input: float32 logits (vocab_size,), already biased and penalized, and which tokens are allowed. Output: a token id, and
the model's own log-probabilities where they are asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import DataError
from smolforge.generator import Sampling, TokenLogprob

_DRAWS = 64  # uniforms made at a time
_GROUPS = 4096  # groups of tokens whose maxima are looked at first


class Noise:
    """Uniform numbers in [0, 1), one a position: the i-th double of a Philox stream (Salmon et al. 2011) of the seed.

    A position's number does not depend on what else runs or on what was drawn before, so a draw can be repeated: a
    drafted token is right exactly if it is what would have been drawn without it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._stream: np.random.Generator | None = None  # greedy requests never make it
        self._drawn: list[float] = []

    def at(self, position: int) -> float:
        """Return the number of ``position`` (from 0)."""
        if self._stream is None:
            self._stream = np.random.Generator(np.random.Philox(self._seed))
        while position >= len(self._drawn):
            self._drawn += self._stream.random(_DRAWS).tolist()
        return self._drawn[position]


def best(scores: NDArray[np.float32]) -> int:
    """Return the token with the highest score, the lowest id among equals; DataError where a score is not a number."""
    token = int(scores.argmax())
    if np.isnan(scores[token]):
        raise no_numbers()
    return token


def no_numbers() -> DataError:
    """Return the error for scores that are not numbers."""
    return DataError("the model's scores are not numbers; its weights are damaged or overflow")


def sample(scores: NDArray[np.float32], sampling: Sampling, uniform: float) -> int:
    """Draw one token by inverting the cumulative distribution, tokens ordered from the likeliest down.

    Temperature, then top-k, then top-p (the smallest set of at least that mass), then min-p (relative to the
    likeliest), each over what the one before it left, as in Hugging Face transformers and ``smolforge.model.sampling``.
    """
    top = scores[best(scores)]
    weights = (scores - top) * np.float32(min(1.0 / sampling.temperature, 1e30))
    np.exp(weights, out=weights)
    tokens, mass = _leading(weights, sampling, uniform)
    cumulative = np.cumsum(weights[tokens], dtype=np.float64)
    total = mass if sampling.top_k == 0 else cumulative[-1]
    kept = len(tokens)
    if sampling.top_p < 1.0:
        kept = min(kept, int(np.searchsorted(cumulative, sampling.top_p * total)) + 1)
    if sampling.min_p > 0.0:
        kept = min(kept, int(np.count_nonzero(weights[tokens] >= sampling.min_p)))
    if sampling.top_p < 1.0 or sampling.min_p > 0.0:
        total = cumulative[kept - 1]
    index = int(np.searchsorted(cumulative[:kept], uniform * total, side="right"))
    return int(tokens[min(index, kept - 1)])


def _leading(weights: NDArray[np.float32], sampling: Sampling, uniform: float) -> tuple[NDArray[np.intp], float]:
    """Return as many of the likeliest tokens, best first, as the draw can need, and the mass of all tokens."""
    mass = float(weights.sum())
    needed = (sampling.top_p if sampling.top_p < 1.0 else uniform) * mass
    if sampling.top_k:
        return likeliest(weights, sampling.top_k)[: sampling.top_k], mass
    for count in (64, 1024):
        tokens = likeliest(weights, count)
        reached = float(weights[tokens].sum(dtype=np.float64))
        if reached > needed * (1 + 1e-5) or weights[tokens[-1]] < sampling.min_p:
            return tokens, mass
    return likeliest(weights, len(weights)), mass


def likeliest(weights: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return at least ``count`` tokens of the highest weights (as many as are above 0), best first (ties by id).

    Sorting 128k weights takes milliseconds. The ``count``-th highest of the maxima of small groups is reached by at
    least ``count`` weights, and rarely by many more: only those are sorted.
    """
    floor, groups = np.float32(0), _GROUPS
    if count <= groups // 2 and len(weights) >= 2 * groups:
        even = len(weights) - len(weights) % groups
        maxima = weights[:even].reshape(-1, groups).max(axis=0)
        floor = np.partition(maxima, groups - count)[groups - count]
    tokens = np.flatnonzero(weights >= floor if floor > 0 else weights > 0)
    return tokens[np.argsort(-weights[tokens], kind="stable")]


def logprobs(logits: NDArray[np.float32], token: int, count: int) -> TokenLogprob:
    """Return the log-softmax of ``token`` and of the ``count`` likeliest tokens (ties: the lower id first)."""
    top = logits.max()
    weights = np.exp(logits - top)
    normalizer = float(top) + float(np.log(weights.sum(dtype=np.float64)))
    order = likeliest(weights, count)[:count] if count else ()
    ranked = tuple((int(i), float(logits[i]) - normalizer) for i in order)
    return TokenLogprob(token, float(logits[token]) - normalizer, ranked)
