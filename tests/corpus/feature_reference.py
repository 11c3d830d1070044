"""The features once more, as plain Python says them: what the native kernel must agree with.

Input: a text and its language. Output: feature name -> number. Slow and readable.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from smolforge.corpus.text.characters import BULLETS, LINE_ENDS, is_mathematical
from smolforge.corpus.text.kernel import word_lists
from smolforge.corpus.text.words import lines, words

_RUN = re.compile(r"[A-Za-z0-9+/=]{64,}")
_ESCAPED = re.compile(r"(?:(?:0[xX]|\\[xu])[0-9a-fA-F]{1,8}+[,;\s]{0,16}+){16,}+")


def features(text: str, language: str) -> dict[str, float]:
    found, rows, blocks = words(text, language), lines(text), _paragraphs(text)
    n_words, n_lines, n_characters = max(1, len(found)), max(1, len(rows)), max(1, len(text))
    lists, lowered, characters = word_lists(), text.lower(), sum(map(len, found))
    encoded = [*filter(_looks_encoded, _RUN.findall(text)), *_ESCAPED.findall(text)]
    opened = len(re.findall(r"\\(?:[(\[]|begin\{)", text)) + len(re.findall(r"\$(?![0-9])", text)) / 2
    values: dict[str, float] = {
        "words": len(found),
        "mean_word_length": characters / n_words,
        "hash_ratio": text.count("#") / n_words,
        "ellipsis_ratio": (text.count("...") + text.count("…")) / n_words,
        "bullet_lines": sum(row.startswith(tuple(BULLETS)) for row in rows) / n_lines,
        "ellipsis_lines": sum(row.endswith(("...", "…")) for row in rows) / n_lines,
        "alphabetic_words": sum(any(map(str.isalpha, word)) for word in found) / n_words,
        "stop_words": len(set(lists["stop_words"].get(language, ())).intersection(map(str.lower, found))),
        "terminal_lines": sum(row.endswith(tuple(LINE_ENDS)) for row in rows) / n_lines,
        "short_lines": sum(len(row) <= 30 for row in rows) / n_lines,
        "newline_ratio": text.count("\n") / n_words,
        "longest_word": max(map(len, found), default=0),
        "upper_case_lines": sum(map(_is_shouted, rows)) / n_lines,
        "policy_phrases": sum(phrase in lowered for phrase in lists["policy_phrases"].get(language, ())),
        "placeholder_text": sum(phrase in lowered for phrase in lists["placeholders"]),
        "longest_line": max(map(len, rows), default=0),
        "mean_line_length": sum(map(len, rows)) / n_lines,
        "alphanumeric": sum(map(str.isalnum, text)) / n_characters,
        "null_characters": text.count("\0"),
        "lines": len(rows),
        "alphabetic": sum(map(str.isalpha, text)) / n_characters,
        "white_space": sum(map(str.isspace, text)) / n_characters,
        "encoded_data": sum(map(len, encoded)) / n_characters,
        "encoded_run": max(map(len, encoded), default=0),
        "generated_marks": sum(mark in lowered[:1000] for mark in lists["generated"]),
        "latex_commands": len(re.findall(r"\\(?=[A-Za-z]{2})", text)) / n_words,
        "math_delimiters": opened / n_words,
        "math_symbols": sum(map(is_mathematical, text)) / n_characters,
        "mathml": sum(lowered.count(tag) for tag in lists["mathml"]) / n_words,
    }
    values["duplicate_lines"], values["duplicate_line_characters"] = _repeats(rows)
    values["duplicate_paragraphs"], values["duplicate_paragraph_characters"] = _repeats(blocks)
    values |= {f"top_{n}_gram": _top(found, n) / max(1, characters) for n in (2, 3, 4)}
    values |= {f"duplicate_{n}_grams": _again(found, n) / max(1, characters) for n in range(5, 11)}
    return values


def _looks_encoded(run: str) -> bool:
    digit, upper, lower = (bool(re.search(pattern, run)) for pattern in ("[0-9]", "[A-Z]", "[a-z]"))
    return digit and ((upper and lower) or re.fullmatch("[0-9a-fA-F]+", run) is not None)


def _is_shouted(row: str) -> bool:
    return row.isupper() and sum(map(str.isupper, row)) > 0.5 * sum(map(str.isalpha, row))


def _repeats(parts: Sequence[str]) -> tuple[float, float]:
    """Share of parts, and of their characters, that repeat an earlier part."""
    again = [part for i, part in enumerate(parts) if part in set(parts[:i])]
    return len(again) / max(1, len(parts)), sum(map(len, again)) / max(1, sum(map(len, parts)))


def _grams(found: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(found[i:] for i in range(n)), strict=False))


def _top(found: Sequence[str], n: int) -> int:
    counts = Counter(_grams(found, n))
    often = max(counts.values(), default=1)
    return often * max(len("".join(gram)) for gram, count in counts.items() if count == often) if often > 1 else 0


def _again(found: Sequence[str], n: int) -> int:
    """Characters of the words inside n-grams that occurred before, no word counted twice."""
    seen: set[tuple[str, ...]] = set()
    covered: set[int] = set()
    for i, gram in enumerate(_grams(found, n)):
        if gram in seen:
            covered.update(range(i, i + n))
        seen.add(gram)
    return sum(len(found[i]) for i in covered)


def _paragraphs(text: str) -> list[str]:
    return [block for block in (raw.strip() for raw in re.split(r"\n\s*\n", text)) if block]
