"""The careful extraction, of pages that passed the gates: precision before recall (trafilatura).

Input: a page's markup. Output: its text without what surrounds it; and which of the two extractions to believe.
"""

from __future__ import annotations

from smolforge.corpus.extract.fast import tidy
from smolforge.errors import MissingDependencyError


def extract_careful(markup: str) -> str:
    """Return the main text of a page, "" where none is found. MissingDependencyError without trafilatura.

    Its own fallbacks to other extractors are off: the fast text is our fallback, by a rule that is stated."""
    try:
        import trafilatura
    except ImportError:
        raise MissingDependencyError("trafilatura", "data", "reading web pages") from None
    text = trafilatura.extract(markup, favor_precision=True, fast=True, include_comments=False, include_tables=True)
    return tidy(text or "")


def better(fast: str, careful: str, agreement: float) -> tuple[str, str]:
    """Return (text, name of the extractor): the careful text, unless it has less than ``agreement`` of the
    characters, blanks aside, that the fast one has. What surrounds a text is rarely longer than the text."""
    if _solid(careful) >= agreement * _solid(fast) and careful:
        return careful, "careful"
    return fast, "fast"


def _solid(text: str) -> int:
    return sum(map(len, text.split()))
