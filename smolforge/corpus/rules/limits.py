"""Quality rules: limits on features, per kind of text and per language, all of them data in ``rules/*.json``.

Input: features of ``features.py``, as columns or of one document. Output: the first limit a document breaks, with its
value and the limit. Limits can be tuned without reading a text again; ``calibrate.py`` refits them.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.document import Verdict
from smolforge.corpus.rules import fineweb
from smolforge.corpus.rules.code import suffix_of
from smolforge.corpus.rules.mathematics import Signs, mathematical
from smolforge.corpus.text.features import FEATURES
from smolforge.errors import ConfigError, DataError, nearest

STEP = "rules"
MATH_PROFILE = "math"
Limits = Mapping[str, tuple[float | None, float | None]]
Columns = Mapping[str, NDArray[Any]]  # float32 of our features, float64 of FineWeb's measures
_KEYS_FINEWEB = ("about", "sources", "default")  # measured in English alone
_KEYS = ("about", "sources", "fitted", "replaces", "signs", "default", "languages", "suffixes")


@dataclass(frozen=True)
class RuleProfile:
    """Limits for one kind of text: ``default`` for every language, ``languages`` and then ``suffixes`` (of file names)
    on top of it. ``replaces`` names profiles whose documents are judged by this one where one of ``signs`` is met."""

    name: str
    default: Limits
    languages: Mapping[str, Limits] = field(default_factory=dict)
    suffixes: Mapping[str, Limits] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()
    signs: Signs = ()

    def limits(self, language: str, suffix: str = "") -> Limits:
        """Return feature -> (low, high) for a language and a file name's suffix, in the order of the file."""
        return {**self.default, **self.languages.get(language, {}), **self.suffixes.get(suffix, {})}


def profile_place(name: str, folder: str | None) -> Any:
    """Return where a profile is: in ``folder`` if it has it, otherwise in the package. ConfigError if in neither."""
    own = Path(folder).expanduser() / f"{name}.json" if folder else None
    packaged = importlib.resources.files("smolforge.corpus") / "rules"
    place = own if own is not None and own.is_file() else packaged / f"{name}.json"
    if not place.is_file():
        known = [entry.name.removesuffix(".json") for entry in packaged.iterdir() if entry.name.endswith(".json")]
        raise ConfigError(f"no rule profile '{name}'{nearest(name, known)}; known: {', '.join(sorted(known))}")
    return place


@functools.lru_cache(maxsize=64)
def load_profile(name: str, folder: str | None = None) -> RuleProfile:
    """Read ``<name>.json`` from ``folder`` where it has one, otherwise from the profiles that come with the package.

    ConfigError names file, key and the nearest known key or feature.
    """
    place = profile_place(name, folder)
    try:
        value = json.loads(place.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}: not valid JSON ({error})") from None
    where = str(place)
    keys = _KEYS_FINEWEB if name == fineweb.PROFILE else _KEYS
    for key in value if isinstance(value, dict) else ():
        if key not in keys:
            raise ConfigError(f"{where}: unknown key '{key}'{nearest(key, keys)}")
    measures = fineweb.MEASURES if name == fineweb.PROFILE else FEATURES
    return RuleProfile(
        name,
        _limits(_table(value, where).get("default", {}), where, measures),
        {code: _limits(part, f"{where}: {code}") for code, part in _table(value.get("languages", {}), where).items()},
        {code: _limits(part, f"{where}: {code}") for code, part in _table(value.get("suffixes", {}), where).items()},
        tuple(value.get("replaces", ())),
        tuple(_signs(each, where) for each in value.get("signs", ())),
    )


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected an object, got {value!r:.60}")
    return value


def _limits(value: Any, where: str, known: Sequence[str] = FEATURES) -> Limits:
    for feature, pair in _table(value, where).items():
        _known(feature, where, known)
        numbers = (
            isinstance(pair, list) and len(pair) == 2 and all(x is None or isinstance(x, int | float) for x in pair)
        )
        if not numbers:
            raise ConfigError(f"{where}: '{feature}' must be [low, high] with numbers or null, got {pair!r}")
    return {feature: (pair[0], pair[1]) for feature, pair in value.items()}


def _signs(value: Any, where: str) -> Mapping[str, float]:
    for feature, floor in _table(value, where).items():
        _known(feature, where)
        if not isinstance(floor, int | float):
            raise ConfigError(f"{where}: sign '{feature}' must be a number, got {floor!r}")
    return dict(value)


def _known(feature: str, where: str, known: Sequence[str] = FEATURES) -> None:
    if feature not in known:
        raise ConfigError(f"{where}: unknown feature '{feature}'{nearest(feature, known)}")


def judge(features: Mapping[str, float], limits: Limits) -> Verdict | None:
    """Return the first limit that a document breaks, or None. Numbers are compared as float32, as columns are."""
    for feature, (low, high) in limits.items():
        value = np.float32(features[feature])
        if low is not None and value < np.float32(low):
            return Verdict(STEP, f"{feature} too low", f"{value:.4g} < {low:g}")
        if high is not None and value > np.float32(high):
            return Verdict(STEP, f"{feature} too high", f"{value:.4g} > {high:g}")
    return None


def judge_columns(columns: Columns, limits: Limits) -> tuple[list[str], list[str]]:
    """Judge many documents by the same limits: for each the reason ("" for none) and its evidence, as ``judge``."""
    size = len(next(iter(columns.values())))
    reasons, details = [""] * size, [""] * size
    passes = np.ones(size, bool)
    for feature, (low, high) in limits.items():
        values = columns[feature]
        for limit, breaks, word, sign in ((low, np.less, "low", "<"), (high, np.greater, "high", ">")):
            if limit is None:
                continue
            broken = breaks(values, values.dtype.type(limit)) & passes
            for row in np.flatnonzero(broken):
                reasons[row], details[row] = f"{feature} too {word}", f"{values[row]:.4g} {sign} {limit:g}"
            passes &= ~broken
    return reasons, details


def profiles_of(
    columns: Columns, profiles: Sequence[str], labels: Sequence[str], folder: str | None = None
) -> list[str]:
    """Return the profile that judges each document: its own, that of FineWeb in English alone (otherwise ``prose``),
    or the one for formula-rich text that replaces it."""
    math = load_profile(MATH_PROFILE, folder)
    formulas = mathematical(columns, math.signs)
    own = [
        fineweb.OTHERWISE if name == fineweb.PROFILE and not fineweb.judges(name, label) else name
        for name, label in zip(profiles, labels, strict=True)
    ]
    return [MATH_PROFILE if many and name in math.replaces else name for name, many in zip(own, formulas, strict=True)]


def judge_table(
    columns: Columns, profiles: Sequence[str], labels: Sequence[str], urls: Sequence[str], folder: str | None = None
) -> tuple[list[str], list[str]]:
    """Judge documents of any profile, label and file name: for each the reason ("" for none) and its evidence.

    ``folder`` has rule profiles that take the place of those in the package.
    """
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row, name in enumerate(profiles_of(columns, profiles, labels, folder)):
        suffix = suffix_of(urls[row]) if (known := load_profile(name, folder).suffixes) else ""
        groups[name, labels[row], suffix if suffix in known else ""].append(row)
    reasons, details = [""] * len(labels), [""] * len(labels)
    for (name, label, suffix), rows in groups.items():
        limits = load_profile(name, folder).limits(label, suffix)
        judged = judge_columns(_measures(name, columns, rows), limits)
        for row, reason, detail in zip(rows, *judged, strict=True):
            reasons[row], details[row] = reason, detail
    return reasons, details


def _measures(profile: str, columns: Columns, rows: Sequence[int]) -> Columns:
    """Return what a profile's limits are on, of some rows. DataError where the documents were not measured so."""
    if profile != fineweb.PROFILE:
        return {feature: columns[feature][rows] for feature in FEATURES}
    found = {measure: columns[name][rows] for measure, name in fineweb.COLUMNS.items() if name in columns}
    if len(found) < len(fineweb.COLUMNS) or any(np.isnan(values).any() for values in found.values()):
        raise DataError(
            "documents of the rule profile 'fineweb' without FineWeb's measures in their annotations: "
            "run the corpus stage again with 'rules: fineweb' on their source"
        )
    return found
