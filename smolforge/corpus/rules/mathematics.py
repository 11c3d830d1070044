"""Mathematics: which documents are rich in formulas, so that prose rules would judge them wrongly.

Input: columns of features. Output: one truth value a document. What counts as a sign is data (``rules/math.json``):
each sign is a set of floors that must all be reached, and one sign is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Signs = Sequence[Mapping[str, float]]


def mathematical(columns: Mapping[str, NDArray[np.float32]], signs: Signs) -> NDArray[np.bool_]:
    """Return bool (n,): whether a document shows one of the signs."""
    found = np.zeros(len(next(iter(columns.values()))), bool)
    for sign in signs:
        found |= np.logical_and.reduce([columns[feature] >= np.float32(floor) for feature, floor in sign.items()])
    return found
