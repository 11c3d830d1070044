"""Quality rules: limits on features, per kind of text and per language, all of them data in ``rules/*.json``.

Input: features of ``features.py``. Output: the first rule a document breaks, with its value and the limit. Limits can
be tuned without reading a text again.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.document import Verdict
from smolforge.corpus.features import FEATURES
from smolforge.errors import ConfigError, nearest

STEP = "rules"
Limits = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class RuleProfile:
    """Limits for one kind of text: ``default`` for every language, ``languages`` on top of it."""

    name: str
    default: Limits
    languages: Mapping[str, Limits]

    def limits(self, language: str) -> Limits:
        """Return feature -> (low, high) for a language, in the order of the file."""
        return {**self.default, **self.languages.get(language, {})}


@functools.lru_cache(maxsize=64)
def load_profile(name: str, folder: str | None = None) -> RuleProfile:
    """Read ``<name>.json`` from ``folder`` where it has one, otherwise from the profiles that come with the package.

    ConfigError names file, key and the nearest known feature.
    """
    own = Path(folder).expanduser() / f"{name}.json" if folder else None
    packaged = importlib.resources.files("smolforge.corpus") / "rules"
    place = own if own is not None and own.is_file() else packaged / f"{name}.json"
    if not place.is_file():
        known = [entry.name.removesuffix(".json") for entry in packaged.iterdir() if entry.name.endswith(".json")]
        raise ConfigError(f"no rule profile '{name}'{nearest(name, known)}; known: {', '.join(sorted(known))}")
    try:
        value = json.loads(place.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{place}: not valid JSON ({error})") from None
    default = _limits(value.get("default", {}), str(place))
    languages = {code: _limits(part, f"{place}: {code}") for code, part in value.get("languages", {}).items()}
    return RuleProfile(name, default, languages)


def _limits(value: Any, where: str) -> Limits:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected an object of feature: [low, high]")
    for feature, pair in value.items():
        if feature not in FEATURES:
            raise ConfigError(f"{where}: unknown feature '{feature}'{nearest(feature, FEATURES)}")
        numbers = (
            isinstance(pair, list) and len(pair) == 2 and all(x is None or isinstance(x, int | float) for x in pair)
        )
        if not numbers:
            raise ConfigError(f"{where}: '{feature}' must be [low, high] with numbers or null, got {pair!r}")
    return {feature: (pair[0], pair[1]) for feature, pair in value.items()}


def judge(features: Mapping[str, float], limits: Limits) -> Verdict | None:
    """Return the first limit that a document breaks, or None."""
    for feature, (low, high) in limits.items():
        value = features[feature]
        if low is not None and value < low:
            return Verdict(STEP, f"{feature} too low", f"{value:.4g} < {low:g}")
        if high is not None and value > high:
            return Verdict(STEP, f"{feature} too high", f"{value:.4g} > {high:g}")
    return None


def judge_columns(columns: Mapping[str, NDArray[np.float32]], limits: Limits) -> tuple[list[str], list[str]]:
    """Judge many documents by the same limits: for each the reason ("" for none) and its evidence, as ``judge``."""
    size = len(next(iter(columns.values())))
    reasons, details = [""] * size, [""] * size
    open_rows = np.ones(size, bool)
    for feature, (low, high) in limits.items():
        values = columns[feature]
        for limit, breaks, word, sign in ((low, np.less, "low", "<"), (high, np.greater, "high", ">")):
            if limit is None:
                continue
            broken = breaks(values, np.float32(limit)) & open_rows
            for row in np.flatnonzero(broken):
                reasons[row], details[row] = f"{feature} too {word}", f"{values[row]:.4g} {sign} {limit:g}"
            open_rows &= ~broken
    return reasons, details
