"""Whether probabilities mean what they say: what every room that fits a calibration measures it with.

Input: confidences and what was true. Output: one figure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10
Floats = NDArray[np.float64]


def expected_calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Return the mean distance of confidence and accuracy over bins of equal mass, 0 to 1.

    Naeini et al. 2015, with the equal-mass bins of Nguyen and O'Connor 2015. Both arrays are (n,).
    """
    order = np.argsort(confidence, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return float(sum(abs(confidence[part].mean() - right[part].mean()) * len(part) for part in bins) / len(right))
