"""Where the line is drawn: quality scores become keep or drop.

Input: scores of all documents of a stage, columns only. Output: the floor each one met and whether it stays. The same
scores give the same floors, whatever the order of documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.scoring.config import QualityConfig
from smolforge.corpus.split import draw

STEP = "quality"
F32 = NDArray[np.float32]


def floors(scores: F32, languages: Sequence[str], top: float) -> dict[str, float]:
    """Return each language's floor: the score that its best ``top`` share reaches (all of them where they tie).

    ``scores`` float32 (n,); NaN (no score) does not count. At least one document of a language is above its floor.
    """
    codes, found = np.asarray(languages, dtype=object), {}
    for code in sorted(set(languages)):
        own = scores[(codes == code) & ~np.isnan(scores)]
        if len(own):
            place = len(own) - max(1, int(np.ceil(top * len(own))))
            found[code] = float(np.partition(own, place)[place])
    return found


def judge(
    scores: F32, languages: Sequence[str], doc_ids: Sequence[str], config: QualityConfig, seed: int
) -> tuple[NDArray[np.bool_], F32]:
    """Return which documents stay, bool (n,), and the floor each had to reach, float32 (n,). No score: it stays."""
    if config.top is None:
        floor = np.full(len(scores), config.floor, np.float32)
    else:
        by_language = floors(scores, languages, config.top)
        floor = np.array([by_language.get(code, 0.0) for code in languages], np.float32)
    stays = np.isnan(scores) | (scores >= floor)
    if config.soft is not None:
        for i in np.flatnonzero(~stays).tolist():
            chance = (1 + float(floor[i]) - float(scores[i])) ** -config.soft
            stays[i] = draw(seed, doc_ids[i], STEP) < chance
    return stays, floor
