"""Changes to the scores that depend on what was said: bias, repetition, presence, frequency, DRY.

Input: one row of logits and the tokens of prompt and answer so far. Output: a changed copy of the row. The formulas and
their order are those of ``smolforge.generator.Sampling``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.history import History, repeats
from smolforge.engine.text_stream import TokenTable
from smolforge.errors import DataError
from smolforge.generator import Sampling

_LONGEST_REPEAT = 64  # DRY counts no longer repetitions; with base 1.75 that is a penalty of 10¹⁵
_LARGEST_PENALTY = 1e30  # float32 holds it, even divided by a small temperature


class Penalties:
    """The penalties of one sequence. ``active`` is False where the request asks for none, and scores are left alone."""

    def __init__(self, sampling: Sampling, history: History, table: TokenTable) -> None:
        self._sampling, self._history = sampling, history
        self._counted = bool(
            sampling.presence_penalty or sampling.frequency_penalty or sampling.repetition_penalty != 1.0
        )
        self._dry = sampling.dry_multiplier > 0
        self._breakers = table.containing(sampling.dry_breakers) if self._dry else frozenset()
        self._bias = _bias(sampling, table.size)
        self.active = self._counted or self._dry or bool(sampling.logit_bias)

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return changed scores; ``logits`` stay as they are."""
        scores = logits.copy()
        ids, values = self._bias
        scores[ids] += values
        window = self._sampling.penalty_window
        begin = 0 if window is None else max(0, self._history.length - window)
        if self._counted:
            with np.errstate(over="ignore"):  # to infinity, which chooses or forbids the token
                self._penalize(scores, begin)
        if self._dry:
            self._penalize_repeats(scores, self._history.view(begin))
        return scores

    def _penalize(self, scores: NDArray[np.float32], begin: int) -> None:
        sampling = self._sampling
        if sampling.repetition_penalty != 1.0:
            seen = np.bincount(self._history.view(begin)).nonzero()[0]
            factor = np.float32(sampling.repetition_penalty)
            scores[seen] = np.where(scores[seen] > 0, scores[seen] / factor, scores[seen] * factor)
        counts = np.bincount(self._history.view(max(begin, self._history.start)))
        said = counts.nonzero()[0]
        change = sampling.presence_penalty + sampling.frequency_penalty * counts[said]
        scores[said] -= change.astype(np.float32)

    def _penalize_repeats(self, scores: NDArray[np.float32], tokens: NDArray[np.int64]) -> None:
        """Penalize each token that followed an earlier copy of the end, by the longest such copy."""
        sampling, longest = self._sampling, dict[int, int]()
        for length, places in repeats(tokens, _LONGEST_REPEAT):
            if int(tokens[-length]) in self._breakers:
                break
            longest.update(dict.fromkeys(tokens[places + 1].tolist(), length))
        for token, length in longest.items():
            if length >= sampling.dry_allowed_length:
                with np.errstate(over="ignore"):  # to infinity, where Python's own power raises
                    power = np.float64(sampling.dry_base) ** (length - sampling.dry_allowed_length)
                    penalty = sampling.dry_multiplier * power
                scores[token] -= np.float32(min(penalty, _LARGEST_PENALTY))


def _bias(sampling: Sampling, vocab_size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    beyond = [token for token in sampling.logit_bias if token >= vocab_size]
    if beyond:
        raise DataError(f"logit_bias names token {beyond[0]}, the model has ids 0 … {vocab_size - 1}")
    ids = np.fromiter(sampling.logit_bias, dtype=np.int64)
    return ids, np.fromiter(sampling.logit_bias.values(), dtype=np.float32)
