"""Line rules: lines that belong to a page and not to its text, taken out of a document.

Input: a text, its language, and limits (``rules/lists/lines.json``, or what a recipe says instead). Output: the text
without those lines and how many each rule took. Sources: C4 (arXiv 1910.10683, section 2.2) and DCLM (arXiv
2406.11794), their phrases extended to nine languages.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from smolforge.corpus.text.kernel import word_lists
from smolforge.corpus.text.words import words
from smolforge.errors import ConfigError, nearest

_ENDS = " .!?:…»›>→。！？：؟"


@dataclass(frozen=True)
class LineLimits:
    """Which rules run. ``fewest_words``: shorter lines go unless they end a sentence (0: never; for Chinese the count
    is of characters); ``longest_word``: in characters; ``upper_case_share``: of a line's letters (1: never).
    A text that would lose more than ``most_removed_words`` of its words is no page of text: ``Cleaned.mostly_page``.
    """

    fewest_words: int = 3
    longest_word: int = 1000
    upper_case_share: float = 0.5
    most_removed_words: float = 0.05
    buttons: bool = True
    counters: bool = True
    figures: bool = True
    javascript: bool = True
    policies: bool = True
    placeholders: bool = True
    citation_marks: bool = True


@dataclass(frozen=True)
class Cleaned:
    """``counts``: rule -> lines it took (``citation_marks``: marks)."""

    text: str
    counts: dict[str, int] = field(default_factory=dict)
    mostly_page: bool = False


@functools.lru_cache(maxsize=1)
def _lists() -> dict[str, Any]:
    place = importlib.resources.files("smolforge.corpus") / "rules" / "lists" / "lines.json"
    return dict(json.loads(place.read_text(encoding="utf-8")))


def line_limits(changes: Mapping[str, Any] | None = None) -> LineLimits:
    """Return the shipped limits with some changed. ConfigError for a name that is none, with the nearest."""
    known = {each.name for each in fields(LineLimits)}
    for name in changes or {}:
        if name not in known:
            raise ConfigError(f"line rules: unknown limit '{name}'{nearest(name, known)}")
    return replace(LineLimits(**_lists()["limits"]), **dict(changes or {}))


def clean_lines(text: str, language: str, limits: LineLimits | None = None) -> Cleaned:
    """Return the text without the lines that a rule takes; what stays is not changed but for citation marks.

    A language without lists loses only what is the same in all. Empty lines stay.
    """
    limits = limits or line_limits()
    kept: list[str] = []
    counts: Counter[str] = Counter()
    removed_words = 0
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        rule = _first_rule(bare, language, limits) if bare else ""
        if rule:
            counts[rule] += 1
            removed_words += len(words(bare, language))
            continue
        if limits.citation_marks and "[" in line:
            line, marks = _citation_mark().subn("", line)
            counts["citation_marks"] += marks
        kept.append(line)
    result = "".join(kept)
    total = removed_words + (len(words(result, language)) if removed_words else 0)
    mostly_page = removed_words > limits.most_removed_words * total
    return Cleaned(result.strip("\n") if counts else text, dict(+counts), mostly_page)


def _first_rule(line: str, language: str, limits: LineLimits) -> str:
    """Return the name of the first rule that takes a stripped line that is not empty, or ""."""
    lowered = line.lower().replace("’", "'")
    rules: tuple[tuple[str, bool, Callable[[], bool]], ...] = (
        ("javascript", limits.javascript, lambda: any(word in lowered for word in _lists()["javascript"])),
        ("policies", limits.policies, lambda: any(phrase in lowered for phrase in _of("policies", language))),
        ("placeholders", limits.placeholders, lambda: any(word in lowered for word in word_lists()["placeholders"])),
        ("buttons", limits.buttons, lambda: lowered.strip(_ENDS) in _of("buttons", language)),
        ("counters", limits.counters, lambda: _counter(language).fullmatch(lowered.strip(_ENDS)) is not None),
        ("figures", limits.figures, lambda: not any(map(str.isalpha, line)) and any(map(str.isdigit, line))),
        ("upper_case", limits.upper_case_share < 1, lambda: _upper_share(line) > limits.upper_case_share),
        ("fewest_words", limits.fewest_words > 0, lambda: _is_short(line, language, limits.fewest_words)),
        ("longest_word", True, lambda: max(map(len, line.split())) > limits.longest_word),
    )
    return next((name for name, on, holds in rules if on and holds()), "")


def _of(kind: str, language: str) -> frozenset[str]:
    return _sets(kind).get(language, frozenset())


@functools.lru_cache(maxsize=8)
def _sets(kind: str) -> dict[str, frozenset[str]]:
    return {language: frozenset(phrases) for language, phrases in _lists()[kind].items()}


@functools.lru_cache(maxsize=64)
def _counter(language: str) -> re.Pattern[str]:
    patterns = _lists()["counters"].get(language, ())
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)")


@functools.lru_cache(maxsize=1)
def _citation_mark() -> re.Pattern[str]:
    names = "|".join(map(re.escape, _lists()["citation_marks"]))
    return re.compile(rf"\[(?:[0-9]{{1,4}}|{names})\]", re.IGNORECASE)


def _upper_share(line: str) -> float:
    """Share of the letters that have a case and are in upper case; 0 for fewer than two words with letters."""
    upper = sum(map(str.isupper, line))
    return upper / max(1, sum(map(str.isalpha, line))) if upper > 1 else 0.0


def _is_short(line: str, language: str, fewest: int) -> bool:
    """A line of few words that ends no sentence; a heading in Markdown is none."""
    return (
        not line.startswith("#")
        and not line.endswith(tuple('.!?。！？؟…"”»:：'))
        and len(words(line, language)) < fewest
    )
