"""Calibration: limits of a rule profile refitted to samples of text in other languages.

Input: columns of features of a reference sample, in the language whose limits are trusted, and of a sample in each
other language, good text of the same kind. Output: new limits and what they drop. The idea is FineWeb-2's (arXiv
2506.20920): a limit should drop the share of good text that it drops in the reference language. A limit
that the reference never breaks is scaled by the ratio of the two samples' tails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.rules import fineweb
from smolforge.corpus.rules.limits import Columns, Limits, RuleProfile, profile_place
from smolforge.corpus.text.features import MEANING
from smolforge.corpus.text.language import DECLARED_ONLY
from smolforge.errors import ConfigError, DataError
from smolforge.store import write_atomic

# Counts and absolutes say what a document is for, not how a language is written; they are kept unless asked for.
KEPT = ("words", "stop_words", "longest_word", "placeholder_text", "null_characters", "generated_marks")
FEWEST = 100  # documents of a sample
_TAIL = 0.01
_DIGITS = 3


@dataclass(frozen=True)
class Refit:
    """One limit: ``side`` is low or high; shares are of the sample's documents that the limit alone drops."""

    language: str
    feature: str
    side: str
    old: float | None
    new: float
    dropped_before: float
    dropped_after: float
    documents: int


def refit(
    profile: RuleProfile,
    samples: Mapping[str, Columns],
    reference: Columns,
    reference_language: str = "en",
    features: Sequence[str] = (),
) -> list[Refit]:
    """Return the refitted limits of every language in ``samples`` but the reference language itself.

    ``features`` chooses which, limited in the language so far or not (default: all that are, without ``KEPT``).
    DataError for a sample of fewer than ``FEWEST`` documents; ConfigError for FineWeb's profile.
    """
    if profile.name == fineweb.PROFILE:
        raise ConfigError(
            f"profile '{profile.name}' has limits for English alone: documents in other languages are judged by "
            f"'{fineweb.OTHERWISE}', which can be refitted with --profile {fineweb.OTHERWISE}"
        )
    trusted = profile.limits(reference_language)
    chosen = features or [feature for feature in trusted if feature not in KEPT]
    for language, columns in {reference_language: reference, **samples}.items():
        if (size := _size(columns)) < FEWEST:
            raise DataError(f"{size} documents in '{language}': at least {FEWEST} are needed to fit limits to them")
    found: list[Refit] = []
    for language in sorted(set(samples) - {reference_language} - DECLARED_ONLY):
        present = profile.limits(language)
        for feature in chosen:
            values, trusted_values = samples[language][feature], reference[feature]
            pairs = zip(("low", "high"), trusted[feature], present.get(feature, (None, None)), strict=True)
            for side, limit, old in pairs:
                if limit is None or (old is None and not features):
                    continue
                new = _carried(side, limit, trusted_values, values, feature)
                shares = (_dropped(values, old, side), _dropped(values, new, side))
                found.append(Refit(language, feature, side, old, new, *shares, _size(samples[language])))
    return found


def _size(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _dropped(values: NDArray[np.float32], limit: float | None, side: str) -> float:
    if limit is None:
        return 0.0
    broken = values < np.float32(limit) if side == "low" else values > np.float32(limit)
    return round(float(broken.mean()), 4)


def _carried(
    side: str, limit: float, reference: NDArray[np.float32], sample: NDArray[np.float32], feature: str
) -> float:
    """Return the limit at which the sample loses the share that the reference loses at its own."""
    share = _dropped(reference, limit, side)
    if share > 0:
        value = _tail(sample, share, side)
    else:
        trusted_tail = _tail(reference, _TAIL, side)
        value = limit * _tail(sample, _TAIL, side) / trusted_tail if trusted_tail > 0 else limit
    if MEANING[feature].startswith("share"):
        value = min(value, 1.0)
    return float(f"{value:.{_DIGITS}g}")


def _tail(values: NDArray[np.float32], share: float, side: str) -> float:
    """Return the value below (or above) which this share of the values lies."""
    return float(np.quantile(values, share if side == "low" else 1 - share, method="nearest"))


def new_limits(refits: Iterable[Refit], profile: RuleProfile) -> dict[str, Limits]:
    """Return language -> the limits to write: what the profile says of the language, with the refitted ones in it."""
    found: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    for each in refits:
        limits = found.setdefault(each.language, dict(profile.languages.get(each.language, {})))
        low, high = limits.get(each.feature, profile.limits(each.language).get(each.feature, (None, None)))
        limits[each.feature] = (each.new, high) if each.side == "low" else (low, each.new)
    return {**found}


def write_profile(
    folder: Path, name: str, rules: str | None, limits: Mapping[str, Limits], fitted: dict[str, Any]
) -> Path:
    """Write the profile with the new limits to ``folder/<name>.json``, which ``corpus.rules: folder`` then takes.

    ``fitted`` goes into the file: what the limits were fitted to.
    """
    value = json.loads(profile_place(name, rules).read_text(encoding="utf-8"))
    languages = value.setdefault("languages", {})
    languages.update({code: {feature: list(pair) for feature, pair in part.items()} for code, part in limits.items()})
    rest = {key: part for key, part in value.items() if key not in ("about", "fitted")}
    path = folder / f"{name}.json"
    write_atomic(path, (_block({"about": value.get("about", ""), "fitted": fitted, **rest}) + "\n").encode())
    return path


def _block(part: Any, depth: int = 0) -> str:
    """Return JSON with one limit a line."""
    if not isinstance(part, dict) or not part:
        return json.dumps(part, ensure_ascii=False)
    pad = "  " * (depth + 1)
    entries = (f"{pad}{json.dumps(key)}: {_block(each, depth + 1)}" for key, each in part.items())
    return "{\n" + ",\n".join(entries) + "\n" + "  " * depth + "}"


def rows(refits: Iterable[Refit]) -> list[dict[str, Any]]:
    """Return the refitted limits as plain values."""
    return [asdict(each) for each in refits]
