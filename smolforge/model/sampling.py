"""Choosing the next token: greedy with a referee for near-ties, or sampling from a stream that belongs to one request.

Input: float32 scores of a batch, one row a request, and which tokens each request allows. Output: token ids.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smolforge.generator import Sampling
from smolforge.model.decoder import Decoder

# A gap this small, relative to the best score, may be rounding. Against float64, cached batches of random models with 4
# and 16 layers were off by 6e-7 to 4e-5 in float32; a choice is safe when the gap exceeds twice that. The 16-bit values
# are the same rule scaled by machine precision, not measured.
NEAR_TIE = {torch.float64: 1e-9, torch.float32: 2e-4, torch.bfloat16: 3e-2, torch.float16: 4e-3}
REFEREE_LIMIT = 500_000_000  # parameters; the float64 copy takes 8 bytes each


class Referee:
    """Decides greedy choices that are closer than rounding, so that the answer does not depend on the batch.

    It reads the row alone, without a cache, in float64. Two batchings that both see a near-tie ask it and agree; where
    only one sees it, the gap is so wide that the other's choice is the same. Models above ``REFEREE_LIMIT`` parameters
    go without: there, a near-tie falls as the batch's rounding has it. One object serves one ``generate`` call, since
    the weights may change after it.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._exact: Decoder | None = None
        self.tolerance = NEAR_TIE[decoder.embed.weight.dtype]
        self.available = decoder.config.parameter_count() <= REFEREE_LIMIT

    def choose(self, tokens: Sequence[int], allowed: NDArray[np.bool_] | None) -> int:
        """Return the allowed token with the highest float64 score after ``tokens``; the lowest id among equals."""
        if self._exact is None:
            self._exact = copy.deepcopy(self._decoder).double()
        device = self._exact.embed.weight.device
        hidden = self._exact(torch.tensor([tokens], dtype=torch.int64, device=device))
        scores: NDArray[np.float64] = self._exact.logits(hidden[0, -1]).cpu().numpy()
        return int(np.argmax(scores if allowed is None else np.where(allowed, scores, -np.inf)))


def greedy(scores_BV: Tensor, referee: Referee) -> tuple[list[int], list[bool]]:
    """Return the best token of each row, and whether the runner-up is so near that the referee must decide."""
    top = scores_BV.topk(min(2, scores_BV.shape[1]), dim=1)
    best_B, gap_B = top.values[:, 0], top.values[:, 0] - top.values[:, -1]
    near_B = (gap_B < referee.tolerance * best_B.abs().clamp(min=1.0)) & referee.available
    return top.indices[:, 0].tolist(), near_B.tolist()


def sample(scores_V: NDArray[np.float32], sampling: Sampling, stream: np.random.Generator) -> int:
    """Draw one token: temperature, top-k, then top-p (the smallest set of at least that mass); one uniform a token."""
    order = np.argsort(-scores_V, kind="stable")
    if sampling.top_k > 0:
        order = order[: sampling.top_k]
    scaled = scores_V[order].astype(np.float64) / sampling.temperature
    weights = np.exp(scaled - scaled[0])
    cumulative = np.cumsum(weights / weights.sum())
    if sampling.top_p < 1.0:
        kept = int(np.searchsorted(cumulative, sampling.top_p)) + 1
        order, cumulative = order[:kept], cumulative[:kept] / cumulative[min(kept, len(cumulative)) - 1]
    index = int(np.searchsorted(cumulative, stream.random(), side="right"))
    return int(order[min(index, len(order) - 1)])
