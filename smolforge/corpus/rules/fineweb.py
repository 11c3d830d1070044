"""FineWeb's rules for English with the words and formulas for which its floors were published.

Input: texts. Output: a table of measures, computed once by a native kernel; then verdicts, from limits that are data
(``rules/fineweb.json``, the profile of a source with ``rules: fineweb``). Sources: Gopher (arXiv 2112.11446, table
A1), C4 (arXiv 1910.10683, section 2.2), FineWeb (arXiv 2406.17557, section 3). Our own rules (``features.py``) have
other words and their own floors.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus import _text
from smolforge.corpus.text.characters import flags
from smolforge.corpus.text.english_exceptions import exceptions
from smolforge.corpus.text.kernel import buffer_of

PROFILE, LANGUAGE, OTHERWISE = "fineweb", "en", "prose"  # the rules' name, whom they judge, who judges the rest
# In the order of ``native/text/fineweb.h``.
MEANING = {
    "characters": "characters",
    "duplicate_paragraphs": "share of paragraphs that repeat an earlier one",
    "duplicate_paragraph_characters": "share of all characters in those",
    "duplicate_lines": "share of lines that repeat an earlier one",
    "duplicate_line_characters": "share of all characters in those",
    **{f"top_{n}_gram": f"share of all characters in the most frequent {n}-gram" for n in (2, 3, 4)},
    **{f"duplicate_{n}_grams": f"share of all characters in repeated {n}-grams" for n in (5, 6, 7, 8, 9, 10)},
    "words": "words that are not punctuation",
    "mean_word_length": "characters a word",
    "hash_ratio": "number signs to words and punctuation marks",
    "ellipsis_ratio": "ellipses (... or one character) to words and punctuation marks",
    "bullet_lines": "share of lines that begin with a bullet or hyphen",
    "ellipsis_lines": "share of lines that end with an ellipsis",
    "alphabetic_words": "share of words and punctuation marks with a letter",
    "stop_words": "different words of Gopher's eight",
    "placeholder_text": "1 for a text with filler words (lorem ipsum)",
    "curly_brackets": "1 for a text with an opening curly bracket",
    "sentences": "sentences in the lines that C4's rules keep",
    "kept_lines": "lines that C4's rules keep",
    "terminal_lines": "share of kept lines that end with a closing mark",
    "short_lines": "share of kept lines of at most 30 characters",
    "kept_duplicate_characters": "share of the kept lines' characters in repeated ones",
    "newline_ratio": "line feeds to words and punctuation marks, in the kept lines",
}
MEASURES = tuple(MEANING)
COLUMNS = {measure: f"fineweb_{measure}" for measure in MEASURES}  # of an annotation table
STOP_WORDS = ["the", "be", "to", "of", "and", "that", "have", "with"]  # Gopher, appendix A1
POLICIES = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]
Limits = Mapping[str, tuple[float | None, float | None]]


@functools.lru_cache(maxsize=1)
def published_limits() -> Limits:
    """Return measure -> (low, high), in the order in which a document is judged."""
    place = importlib.resources.files("smolforge.corpus") / "rules" / "fineweb.json"
    table = json.loads(place.read_text(encoding="utf-8"))["default"]
    return {name: (low, high) for name, (low, high) in table.items()}


def judges(profile: str, label: str) -> bool:
    """Whether a document of this profile and language is judged by these rules."""
    return profile == PROFILE and label == LANGUAGE


def columns_of(texts: Sequence[str], profiles: Sequence[str], labels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the columns of ``COLUMNS``, NaN for documents that other rules judge. They stay float64: rounded ones
    could fall on the other side of a limit."""
    table = np.full((len(texts), len(MEASURES)), np.nan)
    if rows := [row for row, pair in enumerate(zip(profiles, labels, strict=True)) if judges(*pair)]:
        table[rows] = _rules().measure([texts[row] for row in rows])
    return dict(zip(COLUMNS.values(), np.ascontiguousarray(table.T), strict=True))


class FineWebRules:
    """Measures English texts; a second thread waits for the first."""

    def __init__(self) -> None:
        self._meter = _text.FineWebMeter(flags(), exceptions(), STOP_WORDS, POLICIES)

    def measure(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return float64 (len(texts), len(MEASURES))."""
        return self.measure_buffer(*buffer_of(texts))

    def measure_buffer(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
        """As ``measure`` for texts that lie one behind the other, as in an Arrow column: UTF-8, int64 (n + 1,)."""
        return self._meter.measure(data, offsets)

    def words(self, text: str) -> list[str]:
        """Return the words as these rules count them."""
        ends = self._meter.words(text)
        return [text[begin:end] for begin, end in zip(ends[::2], ends[1::2], strict=True)]


def judge(table: NDArray[np.float64], limits: Limits | None = None) -> list[str]:
    """Return for each row the first limit it breaks ("sentences too low"), "" where it breaks none."""
    verdicts = np.full(len(table), "", dtype=object)
    for name, (low, high) in (published_limits() if limits is None else limits).items():
        values = table[:, MEASURES.index(name)]
        if low is not None:
            verdicts[(values < low) & (verdicts == "")] = f"{name} too low"
        if high is not None:
            verdicts[(values > high) & (verdicts == "")] = f"{name} too high"
    return list(verdicts)


@functools.lru_cache(maxsize=1)
def _rules() -> FineWebRules:
    return FineWebRules()
