"""Curriculum: the documents of a source from easy to hard (or back) over the length of a phase.

Input is a difficulty a document; output is bins of about equal tokens, and which bin the n-th sample of the source
comes from. Within a bin the order is shuffled as ever, so neighbours vary and a sample stays a function of its number.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smolforge.tokens.packing import Ints

Order = Literal["shuffled", "easy_first", "hard_first"]
BINS = 16  # steps from the easiest to the hardest: fine enough for a phase, coarse enough to shuffle within


def difficulty_bins(difficulty: NDArray[np.float32], lengths: Ints, order: Order) -> Ints:
    """Return the bin of each document, int64 (documents,), 0 … BINS − 1 in the order they are read.

    Bins hold about equally many tokens; documents of equal difficulty stand by their index.
    """
    rank = np.argsort(-difficulty if order == "hard_first" else difficulty, kind="stable")
    before = np.cumsum(lengths[rank]) - lengths[rank]
    bins = np.empty(len(rank), np.int64)
    bins[rank] = before * BINS // max(1, int(lengths.sum()))
    return bins


def paced(ordinal: Ints, edges: Ints, samples: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Spread ``samples`` samples of a source over its bins, in order: bin b gives its share of the windows.

    ``edges`` (bins + 1,): the first window of each bin, and how many windows there are. For each ``ordinal`` (m,)
    returns (bin, how many samples of the bin came before, first window of the bin, windows of the bin), all int64.
    """
    starts = samples * edges // max(1, int(edges[-1]))
    chosen = np.searchsorted(starts[1:-1], ordinal, side="right")
    return chosen, ordinal - starts[chosen], edges[chosen], np.diff(edges)[chosen]
