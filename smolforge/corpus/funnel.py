"""The funnel: how many documents and bytes went into each step and came out, by source, language and reason.

Input: one record a document and step. Output: rows that partition each step: the row with an empty reason are the
documents that passed, every other row those that did not, so any grouping of the rows may be summed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

STEPS = ("ingest", "exact_dedup", "language", "rules", "near_dedup", "pii", "held_out", "budget")


class Funnel:
    """Adds up documents and UTF-8 bytes per (step, source, language, reason)."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._extra: dict[tuple[str, str, str, str], dict[str, int]] = defaultdict(dict)

    def passed(self, step: str, source: str, language: str, bytes_in: int, bytes_out: int | None = None) -> None:
        """Count one document that goes on, perhaps with another length."""
        row = self._rows[step, source, language, ""]
        for index, value in enumerate((1, 1, bytes_in, bytes_in if bytes_out is None else bytes_out)):
            row[index] += value

    def stopped(self, step: str, source: str, language: str, reason: str, bytes_in: int) -> None:
        """Count one document that leaves the stream here (dropped, or held out)."""
        row = self._rows[step, source, language, reason]
        row[0] += 1
        row[2] += bytes_in

    def extra(self, step: str, source: str, language: str, counts: Mapping[str, int]) -> None:
        """Add named counts to the row of documents that passed (kinds of masked data)."""
        target = self._extra[step, source, language, ""]
        for name, count in counts.items():
            target[name] = target.get(name, 0) + count

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows in the order of the steps, then by source, language and reason."""
        names = ("documents_in", "documents_out", "bytes_in", "bytes_out")
        ordered = sorted(self._rows, key=lambda key: (STEPS.index(key[0]), *key[1:]))
        return [
            dict(zip(("step", "source", "language", "reason"), key, strict=True))
            | dict(zip(names, self._rows[key], strict=True))
            | ({"masked": dict(sorted(self._extra[key].items()))} if key in self._extra else {})
            for key in ordered
        ]
