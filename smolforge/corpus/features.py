"""Features of a document, computed once: counts and ratios that the rules compare with limits.

Input: text and language. Output: feature name -> number. Definitions: Gopher (arXiv 2112.11446, table A1), C4
(arXiv 1910.10683, section 2.2), FineWeb (arXiv 2406.17557, section 3), The Stack for code (arXiv 2211.15533).
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.minhash import mix
from smolforge.corpus.text import lines, paragraphs, words

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)
_TERMINAL = tuple(".!?\"'”’»)]…。！？；：）」』؟۔")
_BULLETS = ("•", "-", "*", "‣", "●", "◦", "–", "·")
_ELLIPSIS = ("...", "…")
_SHORT_LINE = 30

FEATURES = (
    "words",
    "mean_word_length",
    "hash_ratio",
    "ellipsis_ratio",
    "bullet_lines",
    "ellipsis_lines",
    "alphabetic_words",
    "stop_words",
    "duplicate_lines",
    "duplicate_line_characters",
    "duplicate_paragraphs",
    "duplicate_paragraph_characters",
    *(f"top_{n}_gram" for n in TOP_NGRAMS),
    *(f"duplicate_{n}_grams" for n in DUPLICATE_NGRAMS),
    "terminal_lines",
    "short_lines",
    "newline_ratio",
    "longest_word",
    "upper_case_lines",
    "policy_phrases",
    "placeholder_text",
    "longest_line",
    "mean_line_length",
    "alphanumeric",
    "null_characters",
)


@functools.lru_cache(maxsize=1)
def _lists() -> dict[str, dict[str, list[str]]]:
    path = importlib.resources.files("smolforge.corpus") / "rules" / "lists" / "words.json"
    value: dict[str, dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))
    return value


def features(text: str, language: str) -> dict[str, float]:
    """Return every feature of ``FEATURES``. Ratios are 0..1; lengths are in characters."""
    found = words(text, language)
    rows, blocks = lines(text), paragraphs(text)
    n_words, n_lines = max(1, len(found)), max(1, len(rows))
    lowered = text.lower()
    stop_words = frozenset(_lists()["stop_words"].get(language, ()))
    characters = sum(map(len, found))
    values: dict[str, float] = {
        "words": len(found),
        "mean_word_length": characters / n_words,
        "hash_ratio": text.count("#") / n_words,
        "ellipsis_ratio": sum(text.count(mark) for mark in _ELLIPSIS) / n_words,
        "bullet_lines": sum(row.startswith(_BULLETS) for row in rows) / n_lines,
        "ellipsis_lines": sum(row.endswith(_ELLIPSIS) for row in rows) / n_lines,
        "alphabetic_words": sum(any(map(str.isalpha, word)) for word in found) / n_words,
        "stop_words": len(stop_words.intersection(word.lower() for word in found)),
        "terminal_lines": sum(row.endswith(_TERMINAL) for row in rows) / n_lines,
        "short_lines": sum(len(row) <= _SHORT_LINE for row in rows) / n_lines,
        "newline_ratio": text.count("\n") / n_words,
        "longest_word": max(map(len, found), default=0),
        "upper_case_lines": sum(map(_is_shouted, rows)) / n_lines,
        "policy_phrases": sum(phrase in lowered for phrase in _lists()["policy_phrases"].get(language, ())),
        "placeholder_text": float("lorem ipsum" in lowered),
        "longest_line": max(map(len, rows), default=0),
        "mean_line_length": sum(map(len, rows)) / n_lines,
        "alphanumeric": sum(map(str.isalnum, text)) / max(1, len(text)),
        "null_characters": float(text.count("\0")),
    }
    values |= _repeats(rows, "duplicate_lines", "duplicate_line_characters")
    values |= _repeats(blocks, "duplicate_paragraphs", "duplicate_paragraph_characters")
    values |= _ngram_features(found, characters)
    return {name: round(values[name], 6) for name in FEATURES}


def features_of(texts: Sequence[str], languages: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return every feature of ``FEATURES`` as float32 (len(texts),); ``languages[i]`` chooses splitter and lists."""
    rows = [features(text, language) for text, language in zip(texts, languages, strict=True)]
    return {name: np.array([row[name] for row in rows], np.float32) for name in FEATURES}


def features_of_buffer(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], languages: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """As ``features_of`` for texts one behind the other, as in an Arrow column: UTF-8 bytes, int64 (n + 1,)."""
    ends = zip(offsets[:-1], offsets[1:], strict=True)
    return features_of([data[a:b].tobytes().decode("utf-8", "replace") for a, b in ends], languages)


def _is_shouted(row: str) -> bool:
    """True for a line whose letters are mostly upper case; letters without case (Chinese, Arabic) are not."""
    return row.isupper() and sum(map(str.isupper, row)) > 0.5 * sum(map(str.isalpha, row))


def _repeats(parts: Sequence[str], share: str, characters: str) -> dict[str, float]:
    """Share of parts, and of their characters, that repeat an earlier part."""
    seen: set[str] = set()
    repeated = repeated_characters = 0
    for part in parts:
        if part in seen:
            repeated += 1
            repeated_characters += len(part)
        seen.add(part)
    return {
        share: repeated / max(1, len(parts)),
        characters: repeated_characters / max(1, sum(map(len, parts))),
    }


def _ngram_ids(found: Sequence[str]) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """Yield (n, one 64-bit value for each word n-gram, in text order) for n = 1, 2, ... while the text has any."""
    first: dict[str, int] = {}
    words_W = np.fromiter((first.setdefault(word, len(first)) for word in found), dtype=np.uint64, count=len(found))
    grams = words_W = mix(words_W)
    for n in range(1, len(found) + 1):
        yield n, grams
        grams = mix(grams[:-1] * np.uint64(3) + words_W[n:])


def _ngram_features(found: Sequence[str], characters: int) -> dict[str, float]:
    """Gopher's repetition shares; n-grams longer than the text have none."""
    values = {f"top_{n}_gram": 0.0 for n in TOP_NGRAMS} | {f"duplicate_{n}_grams": 0.0 for n in DUPLICATE_NGRAMS}
    lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    for n, grams in _ngram_ids(found):
        if n in TOP_NGRAMS:
            values[f"top_{n}_gram"] = top_ngram_share(grams, ends, n, characters)
        elif n in DUPLICATE_NGRAMS:
            values[f"duplicate_{n}_grams"] = duplicate_ngram_share(grams, lengths, n, characters)
        elif n > max(DUPLICATE_NGRAMS):
            break
    return values


def top_ngram_share(grams_G: NDArray[np.uint64], ends_W: NDArray[np.int64], n: int, characters: int) -> float:
    """Share of the word characters in the most frequent n-gram (the longest of those), 0 if none occurs twice."""
    _, first, counts = np.unique(grams_G, return_index=True, return_counts=True)
    often = int(counts.max())
    if often == 1:
        return 0.0
    places = first[counts == often]
    return float((ends_W[places + n] - ends_W[places]).max()) * often / max(1, characters)


def duplicate_ngram_share(grams_G: NDArray[np.uint64], lengths_W: NDArray[np.int64], n: int, characters: int) -> float:
    """Share of the word characters inside n-grams that occurred before, no character counted twice."""
    _, first = np.unique(grams_G, return_index=True)
    if len(first) == len(grams_G):
        return 0.0
    repeated_G = np.ones(len(grams_G), dtype=np.int64)
    repeated_G[first] = 0
    covering = np.convolve(repeated_G, np.ones(n, dtype=np.int64))  # number of repeated n-grams over each word
    return float(lengths_W[covering > 0].sum()) / max(1, characters)
