"""Checks on text: whole, long enough, in its language and form, neither a copy nor a loop.

Input: a candidate. Output: findings with their measures.
"""

from __future__ import annotations

import re
from collections import Counter

from smolforge.corpus.config import LANGUAGES, LanguageConfig
from smolforge.corpus.synthesize.bitext import names, numbers
from smolforge.corpus.synthesize.candidate import PASSED, Candidate, Finding
from smolforge.corpus.synthesize.limits import Limits
from smolforge.corpus.text.language import detect, judge
from smolforge.corpus.text.words import words

_LOOP = 4  # words of the n-grams whose return is a loop
_ROW = re.compile(r"^\s*\|(.+)\|\s*$")
_RULE = re.compile(r"^[\s|:\-–—]+$")
_BARE = re.compile(r"https?://\S+|[`#|*_>]+")  # what says nothing about a text's language


def finished(candidate: Candidate, limits: Limits) -> Finding:
    """The generator said something (that it came to an end of its own is seen while it is asked)."""
    size = len(candidate.text)
    if size < limits.least_characters:
        return Finding(f"{size} characters, fewer than {limits.least_characters}", {"characters": size})
    return Finding(measures={"characters": size})


def pattern(candidate: Candidate, limits: Limits) -> Finding:
    """The form the prompt asks for is there."""
    if limits.pattern is None:
        return PASSED
    found = len(re.findall(limits.pattern.find, candidate.text))
    enough = found >= limits.pattern.at_least
    fault = None if enough else f"{found} {limits.pattern.name}, fewer than {limits.pattern.at_least}"
    return Finding(fault, {limits.pattern.name: found})


def table(candidate: Candidate, limits: Limits) -> Finding:
    """There is a Markdown table: a header, its rule, two rows or more, as many cells in each."""
    cells: list[int] = []
    ruled = False
    for line in candidate.text.splitlines():
        row = _ROW.match(line)
        if row is None:
            if ruled and len(cells) >= 3:
                break
            cells, ruled = [], False
        elif _RULE.match(line) and cells:
            ruled = True
        else:
            cells.append(row[1].count("|") + 1)
    if not ruled or len(cells) < 3:
        return Finding("no Markdown table with a header, a rule and two rows")
    if len(set(cells)) > 1:
        return Finding(f"rows of the table have {min(cells)} to {max(cells)} cells")
    return Finding(measures={"table_rows": len(cells) - 1})


def length_ratio(candidate: Candidate, limits: Limits) -> Finding:
    """The result is neither a scrap of its source nor many times as long."""
    ratio = len(candidate.text) / max(1, len(candidate.source.text))
    least, most = limits.length_ratio
    fault = None if least <= ratio <= most else f"{ratio:.2f} times as long as the source, expected {least} to {most}"
    return Finding(fault, {"length_ratio": round(ratio, 4)})


def repetition(candidate: Candidate, limits: Limits) -> Finding:
    """Few word 4-grams stood there before: a generator that loops says the same for ever."""
    counts = Counter(grams(candidate.text, candidate.source.language, _LOOP))
    total = counts.total()
    rate = 1 - len(counts) / total if total else 0.0
    if rate <= limits.repetition:
        return Finding(measures={"repetition": round(rate, 4)})
    often, times = min(counts.items(), key=lambda item: (-item[1], item[0]))
    said = f"{rate:.2f} of word {_LOOP}-grams are repeats, e.g. {times} times {' '.join(often)!r}"
    return Finding(f"{said}; at most {limits.repetition}", {"repetition": round(rate, 4)})


def copy_rate(candidate: Candidate, limits: Limits) -> Finding:
    """Few of the result's word n-grams are the source's: a copy teaches nothing that the source does not."""
    language, n = candidate.source.language, limits.copy_words
    source = set(grams(candidate.source.text, language, n))
    result = grams(candidate.text, language, n)
    copied = [gram for gram in result if gram in source]
    rate = len(copied) / len(result) if result else 0.0
    fault = None
    if rate > limits.copy_rate:
        fault = (
            f"{rate:.2f} of word {n}-grams are the source's, e.g. {' '.join(copied[0])!r}; at most {limits.copy_rate}"
        )
    return Finding(fault, {"copy_rate": round(rate, 4)})


def grounding(candidate: Candidate, limits: Limits) -> Finding:
    """The result's numbers and names that stay as they are (``bitext.names``) stand in the source: none is invented."""
    source = set(numbers(candidate.source.text)) | set(names(candidate.source.text))
    found = [*numbers(candidate.text), *names(candidate.text)]
    invented = [each for each in found if each not in source]
    share = 1 - len(invented) / len(found) if found else 1.0
    fault = None
    if share < limits.grounding:
        fault = f"{share:.2f} of numbers and names are the source's, not {invented[0]!r}; at least {limits.grounding}"
    return Finding(fault, {"grounding": round(share, 4)})


def grams(text: str, language: str, n: int) -> list[tuple[str, ...]]:
    """Return the word n-grams of a text, in lower case and in order."""
    found = [word.casefold() for word in words(text, language)]
    return list(zip(*(found[shift:] for shift in range(n)), strict=False))


def language(candidate: Candidate, limits: Limits) -> Finding:
    """The result reads as the language of its source, by the classifier and the script."""
    return in_language(candidate.text, candidate.source.language, limits)


def in_language(text: str, wanted: str, limits: Limits) -> Finding:
    """Judge one text; code and maths have no language of their own and pass."""
    if wanted not in LANGUAGES:
        return PASSED
    detection = detect(_BARE.sub(" ", text), "", LANGUAGES)
    floors = LanguageConfig(confidence=limits.language_confidence, script_share=limits.script_share)
    verdict = judge(detection, wanted, LANGUAGES, floors)
    measures = {"language_confidence": detection.confidence, "script_share": detection.script_share}
    return Finding(f"{verdict.reason}: {verdict.detail}" if verdict else None, measures)
