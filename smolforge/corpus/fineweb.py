"""FineWeb's rules for English with the words and formulas for which its floors were published.

Input: texts. Output: a table of measures, computed once by a native kernel; then verdicts, from limits that are data
(``rules/published/fineweb.json``). Sources: Gopher (arXiv 2112.11446, table A1), C4 (arXiv 1910.10683, section 2.2),
FineWeb (arXiv 2406.17557, section 3). Our own rules (``features.py``) have other words and their own floors.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus import _text
from smolforge.corpus.characters import flags
from smolforge.corpus.english_exceptions import exceptions
from smolforge.corpus.kernel import buffer_of

# In the order of ``native/text/fineweb.h``. Shares are of all characters unless the name says what of.
MEASURES = (
    "characters",
    "duplicate_paragraphs",
    "duplicate_paragraph_characters",
    "duplicate_lines",
    "duplicate_line_characters",
    *(f"top_{n}_gram" for n in (2, 3, 4)),
    *(f"duplicate_{n}_grams" for n in (5, 6, 7, 8, 9, 10)),
    "words",
    "mean_word_length",
    "hash_ratio",
    "ellipsis_ratio",
    "bullet_lines",
    "ellipsis_lines",
    "alphabetic_words",
    "stop_words",
    "placeholder_text",
    "curly_brackets",
    "sentences",
    "kept_lines",
    "terminal_lines",
    "short_lines",
    "kept_duplicate_characters",
    "newline_ratio",
)
STOP_WORDS = ["the", "be", "to", "of", "and", "that", "have", "with"]  # Gopher, appendix A1
POLICIES = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]
Limits = Mapping[str, tuple[float | None, float | None]]


@functools.lru_cache(maxsize=1)
def published_limits() -> Limits:
    """Return measure -> (low, high), in the order in which a document is judged."""
    place = importlib.resources.files("smolforge.corpus") / "rules" / "published" / "fineweb.json"
    table = json.loads(place.read_text(encoding="utf-8"))["limits"]
    return {name: (low, high) for name, (low, high) in table.items()}


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
