"""Units: every source cut into bounded pieces that can be read alone, in any order, by any worker.

Input: the configuration. Output: a list of units in the order of the recipe, and the documents of one of them, each
with the verdict of reading where that failed. Reading all units in order gives every document once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.ingest import folder
from smolforge.corpus.ingest.gettext import open_packages, read_gettext
from smolforge.corpus.ingest.python_sources import open_python, read_stdlib, read_topics
from smolforge.corpus.ingest.report import Ledger

STEP = "ingest"
Read = tuple[Document, Verdict | None]  # a document, and the verdict of reading where that failed (text may be "")


@dataclass(frozen=True)
class Unit:
    """A piece of a source. ``items`` can be separated: ``unit.only(ranges)`` reads the items numbered so.

    ``source`` is the place in ``config.sources``; ``names`` are its records in the ledger; ``files`` are read by the
    reader ``kind``. ``ranges`` are half-open and count what the kind counts: files of a batch, rows of Parquet, bytes
    of plain JSONL and WARC (a range owns what begins in it), lines of a packed file. ``max_bytes`` is this unit's
    share of the source's.
    """

    source: int
    names: tuple[str, ...]
    kind: str
    files: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ((0, 1),)
    max_bytes: int | None = None

    @property
    def items(self) -> int:
        """How many items the unit has (an upper bound where counting would mean reading)."""
        return sum(last - first for first, last in self.ranges)

    def only(self, ranges: Iterable[tuple[int, int]]) -> Unit:
        """Return the unit with the items numbered in ``ranges`` (half-open, 0 to ``items``) alone."""
        kept: list[tuple[int, int]] = []
        for first, last in ranges:
            passed = 0
            for low, high in self.ranges:
                start, stop = max(first - passed, 0), min(last - passed, high - low)
                if start < stop:
                    kept.append((low + start, low + stop))
                passed += high - low
        return replace(self, ranges=tuple(kept))

    def as_json(self) -> dict[str, Any]:
        """Return the unit as a JSON value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Unit:
        """Read back what ``as_json`` gave."""
        ranges = tuple((int(first), int(last)) for first, last in value["ranges"])
        return cls(**value | {"names": tuple(value["names"]), "files": tuple(value["files"]), "ranges": ranges})


def units(config: CorpusConfig, ledger: Ledger) -> list[Unit]:
    """Cut every source into units. ``ledger`` gets a record for each source, with what planning found (links, files
    of another kind). DataError for a source that cannot be used at all."""
    found: list[Unit] = []
    for index, spec in enumerate(config.sources):
        found.extend(_source_units(index, spec, ledger))
    return found


def _source_units(index: int, spec: SourceSpec, ledger: Ledger) -> Iterator[Unit]:
    if spec.kind == "gettext":
        yield Unit(index, open_packages(spec, ledger), spec.kind, max_bytes=spec.max_bytes)
    elif spec.kind == "folder":
        record, batches = folder.plan(spec, ledger)
        for batch in batches:
            yield Unit(index, (record.name,), spec.kind, batch, ((0, len(batch)),), spec.max_bytes)
    else:
        yield Unit(index, (open_python(spec, ledger).name,), spec.kind, max_bytes=spec.max_bytes)


def read_unit(unit: Unit, config: CorpusConfig, ledger: Ledger) -> Iterator[Read]:
    """Yield the documents of a unit that have text, and those that failed with their verdict; ``ledger`` (a fresh
    one) gets this unit's counts and problems under the names that planning gave: ``Ledger.add`` joins the two.

    ``max_bytes`` of a source is divided among its units by their size, and a unit keeps the documents that fit.
    """
    size = 0
    for document, verdict in _READERS[unit.kind](unit, config, ledger):
        record = ledger.records[document.source]
        if verdict is not None:
            yield document, verdict
        elif unit.max_bytes is not None and size >= unit.max_bytes:
            record.leave_out("documents over max_bytes")
        elif document.text.strip():
            record.documents += 1
            record.bytes += document.bytes
            size += document.bytes
            yield document, None


def _read_stdlib(unit: Unit, config: CorpusConfig, ledger: Ledger) -> Iterator[Read]:
    spec = config.sources[unit.source]
    return ((document, None) for document in read_stdlib(spec, config, ledger.record(unit.names[0])))


def _read_topics(unit: Unit, config: CorpusConfig, ledger: Ledger) -> Iterator[Read]:
    spec = config.sources[unit.source]
    return ((document, None) for document in read_topics(spec, config, ledger.record(unit.names[0])))


def _read_gettext(unit: Unit, config: CorpusConfig, ledger: Ledger) -> Iterator[Read]:
    spec = config.sources[unit.source]
    return ((document, None) for document in read_gettext(spec, config, unit.names, ledger))


def _read_files(unit: Unit, config: CorpusConfig, ledger: Ledger) -> Iterator[Read]:
    spec = config.sources[unit.source]
    files = [unit.files[number] for first, last in unit.ranges for number in range(first, last)]
    return ((document, None) for document in folder.read_files(files, spec, config, ledger.record(unit.names[0])))


_READERS: dict[str, Callable[[Unit, CorpusConfig, Ledger], Iterator[Read]]] = {
    "python_stdlib": _read_stdlib,
    "pydoc_topics": _read_topics,
    "gettext": _read_gettext,
    "folder": _read_files,
}
