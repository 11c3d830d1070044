"""Exact duplicates: the same text after NFC and white-space folding is kept once.

Input: fingerprints of all documents. Output: verdicts for the copies, naming the copy that stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from smolforge.corpus.dedup_tables import Copies, Pool, Waves
from smolforge.corpus.document import Verdict
from smolforge.corpus.text import fold
from smolforge.store import digest_bytes

STEP = "exact_dedup"


def fingerprint(text: str) -> str:
    """Return the 128-bit digest of the folded text, in hex."""
    return digest_bytes(fold(text).encode())


def find_duplicates(rows: Iterable[tuple[str, str, int]]) -> dict[str, Verdict]:
    """Return verdicts for all but one of each fingerprint.

    ``rows`` are (doc_id, fingerprint, rank of the source in the recipe). The earliest source keeps its copy, then the
    smallest id: an order that does not depend on how documents were spread over shards.
    """
    kept: dict[str, tuple[int, str]] = {}
    verdicts: dict[str, Verdict] = {}
    for doc_id, print_, rank in sorted(rows, key=lambda row: (row[2], row[0])):
        if print_ in kept:
            verdicts[doc_id] = Verdict(STEP, "same text", f"kept {kept[print_][1]}")
        else:
            kept[print_] = (rank, doc_id)
    return verdicts


def find_copies(pool: Pool, runner: Waves, index: Path | None = None) -> Copies:
    """Return all but one of the documents of each fingerprint; what a saved ``index`` holds stays before any other.

    Waves: ``exact-shuffle`` (rows by fingerprint), ``exact-judge``. The longest stays, then the earliest source, then
    the smallest id. A row's score is 1.
    """
    raise NotImplementedError
