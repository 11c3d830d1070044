"""Documents for the text measurements: held-out and training text per language from the corpus artifact.

Input: ``held_out/`` and ``kept/`` Parquet tables. Output: lists of strings per language, in a keyed order.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from smolforge.errors import DataError, MissingDependencyError
from smolforge.store import digest_bytes


def read_documents(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (doc_id, language, text) of every document table part, in the order of the files."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingDependencyError("pyarrow", "data", "reading document tables") from None
    parts = sorted(folder.glob("part-*.parquet"))
    if not parts:
        raise DataError(f"{folder}: no part-*.parquet; the corpus stage writes them")
    for part in parts:
        table = parquet.read_table(part, columns=["doc_id", "language", "text"])
        columns = (table.column(name).to_pylist() for name in ("doc_id", "language", "text"))
        yield from zip(*columns, strict=True)


def by_language(folder: Path, limit: int | None, seed: int) -> dict[str, list[str]]:
    """Return documents per language in a keyed order, up to ``limit`` UTF-8 bytes of each language (None: all)."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for doc_id, language, text in read_documents(folder):
        found[language].append((digest_bytes(f"{seed}/text/{doc_id}".encode()), text))
    return {language: _up_to([text for _, text in sorted(rows)], limit) for language, rows in sorted(found.items())}


def _up_to(texts: Sequence[str], limit: int | None) -> list[str]:
    """Return the texts while they fit into ``limit`` bytes; the first that does not is cut at a character."""
    if limit is None:
        return list(texts)
    taken: list[str] = []
    for text in texts:
        if limit <= 0:
            break
        piece = text.encode()[:limit].decode("utf-8", errors="ignore")
        limit -= len(text.encode())
        if piece:
            taken.append(piece)
    return taken
