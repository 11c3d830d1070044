"""Which documents of a corpus a set is made of: so many of each language, chosen by hash.

Input: a folder of document tables. Output: documents in the order of the tables, cut to what a generator is shown.
Memory holds the chosen ids, not the texts.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from smolforge.corpus.document import Document, read_documents, read_rows
from smolforge.corpus.split import draw
from smolforge.corpus.text.words import split_text
from smolforge.errors import DataError


def choose(folder: Path, quotas: Mapping[str, int], seed: int, purpose: str, at_least: int) -> set[str]:
    """Return the ids of the documents of at least so many characters whose draws are lowest, up to each quota.

    DataError for a language that no document has; fewer than the quota is as many as there are.
    """
    chosen: dict[str, list[tuple[float, str]]] = {language: [] for language in quotas}
    seen: Counter[str] = Counter()
    for part in _parts(folder):
        for row in read_rows(part, ["doc_id", "language", "text"]):
            language = row["language"]
            seen[language] += 1
            if language not in chosen or len(row["text"]) < at_least:
                continue
            entry = (-draw(seed, row["doc_id"], purpose), row["doc_id"])
            if len(chosen[language]) < quotas[language]:
                heapq.heappush(chosen[language], entry)
            elif quotas[language]:
                heapq.heappushpop(chosen[language], entry)
    for language, quota in quotas.items():
        if quota and not seen[language]:
            raise DataError(f"{folder}: no document is in '{language}'; it has {', '.join(sorted(seen)) or 'none'}")
    return {doc_id for entries in chosen.values() for _, doc_id in entries}


def read_chosen(folder: Path, chosen: set[str], most: int) -> Iterator[Document]:
    """Yield the chosen documents, each cut to ``most`` characters at the end of a paragraph, a line or a word."""
    for part in _parts(folder):
        for document in read_documents(part):
            if document.doc_id in chosen:
                pieces = split_text(document.text, most)
                yield replace(document, text=pieces[0].strip() if pieces else "")


def _parts(folder: Path) -> list[Path]:
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise DataError(f"{folder}: no part-*.parquet files; generated sets are made of a corpus' kept documents")
    return parts
