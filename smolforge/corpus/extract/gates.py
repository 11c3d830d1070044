"""Gates: which crawled pages are worth a careful look, by their fast text alone.

Input: fast texts. Output: for each page that stops why, and in which language it is where that is the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Verdict
from smolforge.corpus.extract.one_page import STEP
from smolforge.corpus.text.language import DECLARED_ONLY, detect_all
from smolforge.corpus.text.words import words

_SURE_CHARACTERS = 20  # for each word asked for: a text of that length is not counted


def stopped_texts(texts: Sequence[str], config: CorpusConfig) -> list[tuple[str, Verdict] | None]:
    """Return (language, verdict) for each text that no careful look would save, else None."""
    least = config.extract.min_words
    found: list[tuple[str, Verdict] | None] = [_too_short(text, least) for text in texts]
    rows = [row for row, each in enumerate(found) if each is None]
    natural = tuple(code for code in config.languages if code not in DECLARED_ONLY)
    said = detect_all([texts[row] for row in rows], [""] * len(rows), natural, config.language.sample_characters)
    for row, label, confidence in zip(rows, said.labels, said.confidence, strict=True):
        if label not in natural and confidence >= config.language.confidence:
            found[row] = label, Verdict(STEP, "language not wanted", f"{label} {confidence:.2f}")
    return found


def _too_short(text: str, least: int) -> tuple[str, Verdict] | None:
    if len(text) >= _SURE_CHARACTERS * least or len(words(text, "")) >= least:
        return None
    return "", Verdict(STEP, "too few words", f"fewer than {least}")
