"""The funnel: how many documents and bytes went into each step and came out, by source, language and reason.

Input: what became of the documents of each shard, counted by where they stopped. Output: rows that partition each step:
the row with an empty reason are the documents that passed, every other row those that did not, so any grouping of the
rows may be summed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

STEPS = (
    "ingest", "poisoned", "extract", "language", "rules", "toxicity", "exact_dedup", "quality", "near_dedup",
    "line_dedup", "substring_dedup", "line_rules", "decontaminate", "pii", "held_out", "budget",
)  # fmt: skip
ALWAYS = ("ingest", "language", "rules", "exact_dedup", "near_dedup", "pii", "held_out", "budget")
EDITS = ("line_dedup", "substring_dedup", "line_rules", "pii")  # steps after which a text may be shorter
BYTES_PER_TOKEN = 4  # an estimate that needs no tokenizer, good for English prose


class Funnel:
    """Adds up documents and UTF-8 bytes by (source, language, step where they stopped, reason).

    ``steps`` are those that the configuration switches on besides ``ALWAYS``.
    """

    def __init__(self, steps: Iterable[str] = ()) -> None:
        self._steps = {*ALWAYS, *steps}
        self._stops: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0] * (2 + len(EDITS)))
        self._masked: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)

    def add(self, stops: Iterable[Mapping[str, Any]], masked: Iterable[Mapping[str, Any]] = ()) -> None:
        """Take counts of one shard. A row of ``stops``: source, language, step ("" for what is kept), reason,
        documents, bytes (as ingested) and bytes after each of ``EDITS``, 0 for those that it did not reach; a row of
        ``masked``: source, language, counts."""
        for row in stops:
            self._steps.update({row["step"]} - {""})
            total = self._stops[row["source"], row["language"], row["step"], row["reason"]]
            for at, name in enumerate(("documents", "bytes", *(f"bytes_{step}" for step in EDITS))):
                total[at] += row[name]
        for row in masked:
            target = self._masked[row["source"], row["language"]]
            for kind, count in row["counts"].items():
                target[kind] = target.get(kind, 0) + count

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows in the order of the steps, then by source, language and reason."""
        found: list[dict[str, Any]] = []
        size = 1  # which column of bytes a document has on entering a step
        for step in (step for step in STEPS if step in self._steps):
            after = 2 + EDITS.index(step) if step in EDITS else size
            found += self._step(step, size, after)
            size = after
        return found

    def _step(self, step: str, before: int, after: int) -> list[dict[str, Any]]:
        rows: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for (source, language, stopped, reason), total in self._stops.items():
            if stopped == step:
                values = (total[0], 0, total[before], 0)
            elif not stopped or STEPS.index(stopped) > STEPS.index(step):
                values = (total[0], total[0], total[before], total[after])
                reason = ""
            else:
                continue
            row = rows[source, language, reason]
            for at, value in enumerate(values):
                row[at] += value
        return [self._row(step, key, rows[key]) for key in sorted(rows)]

    def _row(self, step: str, key: tuple[str, str, str], values: list[int]) -> dict[str, Any]:
        source, language, reason = key
        names = ("documents_in", "documents_out", "bytes_in", "bytes_out")
        row: dict[str, Any] = {"step": step, "source": source, "language": language, "reason": reason}
        row |= dict(zip(names, values, strict=True))
        row["estimated_tokens_out"] = values[3] // BYTES_PER_TOKEN
        if step == "pii" and not reason:
            row["masked"] = dict(sorted(self._masked.get((source, language), {}).items()))
        return row
