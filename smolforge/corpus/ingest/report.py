"""What was read: one record a source, with every file or line that could not be read and where.

Input: the readers of this folder. Output: ``sources.json`` of the corpus stage.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from smolforge.corpus.text.words import printable

MAX_PROBLEMS, MAX_PROBLEMS_OF_FILE = 1000, 20
_CHARACTERS = 5000  # of a path or message


@dataclass(frozen=True)
class Problem:
    """A file or a part of one that was left out. ``position`` says where ("line 3", "byte 17", "row group 2")."""

    path: str
    position: str
    message: str


@dataclass
class SourceRecord:
    """One source as it was read. ``left_out`` counts what a limit or a filter of the reader did not turn into text."""

    name: str
    version: str
    licence: str
    bytes: int = 0
    documents: int = 0
    problems: list[Problem] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._listed = Counter(each.path for each in self.problems)

    def problem(self, path: str, position: str, message: str) -> None:
        """Note a problem; of more than a thousand, or twenty of one file, only the number is kept."""
        path, position, message = (printable(each[:_CHARACTERS]) for each in (path, position, message))
        if len(self.problems) < MAX_PROBLEMS and self._listed[path] < MAX_PROBLEMS_OF_FILE:
            self._listed[path] += 1
            self.problems.append(Problem(path, position, message))
        else:
            self.leave_out("problems not listed")

    def leave_out(self, what: str, count: int = 1) -> None:
        """Count something that was read but did not become a document."""
        self.left_out[what] = self.left_out.get(what, 0) + count

    def as_json(self) -> dict[str, Any]:
        """Return the record as a JSON value."""
        return asdict(self)


class Ledger:
    """Source records by name. Planning opens one a source; each unit's reading fills a ledger of its own under the
    same names, and ``add`` joins them in the order of the units."""

    def __init__(self) -> None:
        self.records: dict[str, SourceRecord] = {}

    def open(self, name: str, version: str, licence: str) -> SourceRecord:
        """Start the record of a source under a name that no other source has: ``name``, ``name-2``, ..."""
        unique, number = name, 2
        while unique in self.records:
            unique, number = f"{name}-{number}", number + 1
        self.records[unique] = SourceRecord(unique, version, licence)
        return self.records[unique]

    def record(self, name: str) -> SourceRecord:
        """Return the record of a name that planning gave, a fresh one at the first call."""
        return self.records.setdefault(name, SourceRecord(name, "", ""))

    def add(self, other: Ledger) -> None:
        """Take over the counts and problems of a unit's reading."""
        for name, read in other.records.items():
            record = self.record(name)
            record.bytes += read.bytes
            record.documents += read.documents
            for problem in read.problems:
                record.problem(problem.path, problem.position, problem.message)
            for what, count in read.left_out.items():
                record.leave_out(what, count)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the records as a JSON value, in order."""
        return [record.as_json() for record in self.records.values()]

    @classmethod
    def from_json(cls, value: list[dict[str, Any]]) -> Ledger:
        """Read back what ``as_json`` gave."""
        ledger = cls()
        for row in value:
            problems = [Problem(**problem) for problem in row["problems"]]
            ledger.records[row["name"]] = SourceRecord(**row | {"problems": problems})
        return ledger
