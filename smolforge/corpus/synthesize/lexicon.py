"""Ordinary words of a language that no template says and no held-out value holds: what copying is practised on.

Input: the corpus's kept documents. Output: words by language. A model that was only ever asked to copy the few hundred
words of the home's lists knows those by heart; thousands of other words leave it nothing but to look at the command.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from smolforge.corpus.document import read_rows

_WORD = re.compile(r"[^\W\d_]{4,12}")
_HAN_PAIR = re.compile(r"[\u3400-\u9fff]{2}")
_ARTICLE = "ال"  # a value stands behind the article of its sentence


def count_words(kept: Path) -> dict[str, Counter[str]]:
    """Return how often each language's documents use each word; Chinese counts pairs of characters."""
    counts: dict[str, Counter[str]] = {}
    for path in sorted(kept.glob("part-*.parquet")):
        for row in read_rows(path, ["text", "language"]):
            language = str(row["language"])
            words = (_HAN_PAIR if language == "zh" else _WORD).findall(str(row["text"]))
            counts.setdefault(language, Counter()).update(words)
    return counts


def lexicon(counts: Counter[str], reserved: Collection[str]) -> tuple[str, ...]:
    """Return the words, each in its most frequent spelling, without ``reserved`` (casefolded)."""
    spelled: dict[str, str] = {}
    for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        shouted = word.isupper() and word != word.lower()
        if not shouted and not word.startswith(_ARTICLE):
            spelled.setdefault(word.casefold(), word)
    return tuple(word for key, word in sorted(spelled.items()) if key not in reserved)
