"""What became of the documents, from the rows of the funnel: kept, held out, or dropped by a step for a reason.

Input: the rows of ``funnel.json``. Output: one row for each end, and what every step did on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smolforge.corpus.split import HELD_OUT_STEP

KEPT = "kept"


@dataclass(frozen=True)
class Fate:
    """Documents that ended alike, with their UTF-8 bytes at that step; ``step`` is ``kept`` for those that stay."""

    source: str
    language: str
    step: str
    reason: str
    documents: int
    bytes: int

    @property
    def is_dropped(self) -> bool:
        """Whether these documents are neither trained on nor held out."""
        return self.step not in (KEPT, HELD_OUT_STEP)


@dataclass(frozen=True)
class Passage:
    """What a step did: documents and bytes that went on, that it stopped, and the bytes it cut from those that went
    on. ``tokens`` are an estimate for what went on."""

    step: str
    documents: int
    stopped: int
    bytes: int
    stopped_bytes: int
    cut_bytes: int
    tokens: int


def fates(rows: Sequence[Mapping[str, Any]]) -> list[Fate]:
    """Return where every ingested document ended; the documents add up to those that were read."""
    last = rows[-1]["step"] if rows else ""
    ends = [_fate(row, row["step"], "documents_in", "bytes_in") for row in rows if row["reason"]]
    stay = (row for row in rows if row["step"] == last and not row["reason"])
    return ends + [_fate(row, KEPT, "documents_out", "bytes_out") for row in stay]


def _fate(row: Mapping[str, Any], step: str, documents: str, size: str) -> Fate:
    return Fate(row["source"], row["language"], step, row["reason"], row[documents], row[size])


def passages(rows: Iterable[Mapping[str, Any]]) -> list[Passage]:
    """Return what each step did, in order."""
    totals: dict[str, Counter[str]] = {}
    for row in rows:
        total = totals.setdefault(row["step"], Counter())
        if row["reason"]:
            total.update(stopped=row["documents_in"], stopped_bytes=row["bytes_in"])
        else:
            total.update(documents=row["documents_out"], bytes=row["bytes_out"])
            total.update(cut_bytes=row["bytes_in"] - row["bytes_out"], tokens=row.get("estimated_tokens_out", 0))
    names = ("documents", "stopped", "bytes", "stopped_bytes", "cut_bytes", "tokens")
    return [Passage(step, *(total[name] for name in names)) for step, total in totals.items()]


def count_by(ends: Iterable[Fate], key: Callable[[Fate], Any], bytes_too: bool = False) -> Counter[Any]:
    """Return documents (or bytes) by what ``key`` returns."""
    found: Counter[Any] = Counter()
    for end in ends:
        found[key(end)] += end.bytes if bytes_too else end.documents
    return found


def masked(rows: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """Return what was masked: kind → language → count."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        for kind, count in row.get("masked", {}).items():
            found.setdefault(kind, Counter())[row["language"]] += count
    return dict(sorted(found.items()))
