"""What a document measured against the limits it was judged by, for people who ask why.

Input: the measures of a ``History`` and the folder of own rule profiles, if any. Output: one row a limit, those that
were broken first, then those that came nearest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smolforge.corpus.rules import fineweb
from smolforge.corpus.rules.code import suffix_of
from smolforge.corpus.rules.limits import load_profile, profiles_of
from smolforge.corpus.text.features import FEATURES, MEANING


@dataclass(frozen=True)
class Measured:
    """A feature, its value and its limits (None: none). ``nearness`` is 1 at the limit and above 1 beyond it."""

    feature: str
    meaning: str
    value: float
    low: float | None
    high: float | None

    @property
    def broken(self) -> bool:
        """Whether the value lies beyond a limit, compared as float32, as the rules do."""
        value = np.float32(self.value)
        below = self.low is not None and value < np.float32(self.low)
        return bool(below or (self.high is not None and value > np.float32(self.high)))

    @property
    def nearness(self) -> float:
        """How near the value comes to its limit, for putting rows in order."""
        shares = [0.0]
        if self.high is not None:
            shares.append(self.value / self.high if self.high else float(self.value > 0))
        if self.low is not None:
            shares.append(self.low / self.value if self.value else float(self.low > 0))
        return max(shares)


def measured(measures: Mapping[str, Any], url: str, folder: str | None = None) -> tuple[str, list[Measured]]:
    """Return the name of the profile that judged a document, and its limits with what the document has."""
    values = {name: float(measures[name]) for name in FEATURES if measures.get(name) is not None}
    if not values:
        return "", []
    columns = {name: np.array([values.get(name, 0.0)], np.float32) for name in FEATURES}
    (name,) = profiles_of(columns, [str(measures["profile"])], [str(measures["label"])], folder)
    profile, meaning = load_profile(name, folder), MEANING
    if name == fineweb.PROFILE:
        found = {measure: measures.get(column) for measure, column in fineweb.COLUMNS.items()}
        values, meaning = {key: float(value) for key, value in found.items() if value is not None}, fineweb.MEANING
    suffix = suffix_of(url) if profile.suffixes else ""
    limits = profile.limits(str(measures["label"]), suffix if suffix in profile.suffixes else "")
    rows = [
        Measured(feature, meaning[feature], values[feature], low, high)
        for feature, (low, high) in limits.items()
        if feature in values and (low is not None or high is not None)
    ]
    return name, sorted(rows, key=lambda row: (not row.broken, -row.nearness, row.feature))
