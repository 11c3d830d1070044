"""Parallel sentences: the same message in nine languages, for tokenizer parity.

Input: the catalogues that the gettext reader kept. Output: rows ``{"id", "en": ..., "fr": ..., ...}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from smolforge.corpus.ingest.catalogue import Message
from smolforge.corpus.ingest.gettext import Catalogue, clean
from smolforge.corpus.text.words import words
from smolforge.store import digest_bytes

# printf, Python and ICU placeholders, markup and character references: a sentence with one is a template
_PLACEHOLDER = re.compile(r"%[(\w%.\d+-]|\{[^{}]*\}|\$\w|<[A-Za-z/]|&\w+;|https?://|\\")
_SENTENCE_END = re.compile(r"[.!?…。！？؟]['\"”»）)]*$")
_MIN_WORDS, _MAX_WORDS = 4, 60


def aligned_sentences(
    catalogues: Mapping[tuple[str, str], Catalogue], languages: Iterable[str]
) -> Iterator[dict[str, str]]:
    """Yield every message that is a true sentence without placeholders in all ``languages``, sorted by id.

    In English a sentence starts with an upper-case letter, ends in terminal punctuation and has 4-60 words (a
    translation may leave the full stop out); plural messages and messages equal to the English one are left out.
    """
    languages = list(languages)
    rows: dict[str, dict[str, str]] = {}
    for catalogue in catalogues.values():
        by_language = {language: {m.key: m for m in catalogue.get(language, [])} for language in languages}
        for message in catalogue["en"]:
            row = _row(message, by_language, languages)
            if row is not None:
                rows.setdefault(row["id"], row)
    for identity in sorted(rows):
        yield rows[identity]


def _row(
    message: Message, by_language: Mapping[str, Mapping[tuple[str, str], Message]], languages: list[str]
) -> dict[str, str] | None:
    english = clean(message.source)
    is_sentence = english[:1].isupper() and _SENTENCE_END.search(english) is not None
    if message.plural or not is_sentence or not _MIN_WORDS <= len(words(english, "en")) <= _MAX_WORDS:
        return None
    row = {"id": digest_bytes(english.encode())[:16]}
    for language in languages:
        found = by_language[language].get(message.key)
        if found is None or (language != "en" and len(found.translations) != 1):
            return None
        raw = message.source if language == "en" else found.translations[0]
        text = clean(raw)
        if not text or _PLACEHOLDER.search(raw) or (language != "en" and text == english):
            return None
        row[language] = text
    return row
