"""What a finished corpus says about itself, read from its folder for the report.

Input: the folder of the artifact. Output: ``CorpusFiles``; what is not there is empty, a torn file is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from smolforge.corpus.document import Document, read_rows
from smolforge.corpus.history.document import Cluster, clusters
from smolforge.corpus.history.lookup import stored
from smolforge.errors import DataError
from smolforge.store import read_json

EXACT = "exact_dedup"
_LOST = 200  # poisoned rows that are listed
_LOOKED_AT = 1000  # clusters that near duplicates are looked for in


@dataclass(frozen=True)
class CorpusFiles:
    """A corpus, and how much of it a page has room for: ``samples`` of each reason, the largest ``clusters`` of exact
    and of near duplicates, ``members`` of each."""

    folder: Path
    samples: int = 8
    clusters: int = 20
    members: int = 5

    @cached_property
    def funnel(self) -> list[dict[str, Any]]:
        """The rows of ``funnel.json``."""
        return self._json("funnel.json") or []

    @cached_property
    def sources(self) -> list[dict[str, Any]]:
        """The rows of ``sources.json``."""
        return self._json("sources.json") or []

    @cached_property
    def contamination(self) -> list[dict[str, Any]] | None:
        """A row a benchmark, or None where none was searched for."""
        rows: list[dict[str, Any]] | None = self._json("contamination.json")
        return rows

    @cached_property
    def dropped(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """Samples of what was dropped, by step and reason."""
        path = self.folder / "samples.jsonl"
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="\n") as lines:  # U+0085 in a text ends no row
                for number, line in enumerate(lines, 1):
                    row = _row(path, number, line)
                    shown = found.setdefault((row["step"], row["reason"]), [])
                    if len(shown) < self.samples:
                        shown.append(row)
        return found

    @cached_property
    def duplicates(self) -> list[Cluster]:
        """The largest clusters that hold near duplicates, then the largest of the others."""
        found = clusters(self.folder, _LOOKED_AT, self.members)
        near = [each for each in found if any(step != EXACT for _, step, _ in each.dropped)]
        exact = [each for each in found if all(step == EXACT for _, step, _ in each.dropped)]
        return near[: self.clusters] + exact[: self.clusters]

    @cached_property
    def texts(self) -> dict[str, Document]:
        """Documents of those clusters by id."""
        ids = {doc_id for each in self.duplicates for doc_id in (each.kept, *(other for other, _, _ in each.dropped))}
        return {doc_id: document for doc_id, (_, document) in stored(self.folder, ids).items()}

    @cached_property
    def poisoned(self) -> list[dict[str, Any]]:
        """Documents that no process survived, with what each does to one."""
        if not any(row["step"] == "poisoned" and row["reason"] for row in self.funnel):
            return []
        names = ("step", "url", "source", "detail")
        rows = (
            row for path in sorted((self.folder / "dropped").glob("part-*.parquet")) for row in read_rows(path, names)
        )
        return [row for row in rows if row["step"] == "poisoned"][:_LOST]

    def _json(self, name: str) -> Any | None:
        path = self.folder / name
        return read_json(path) if path.is_file() else None


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{number}: not valid JSON ({error})") from None
    return row
