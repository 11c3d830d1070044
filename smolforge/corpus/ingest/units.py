"""Units: every source cut into bounded pieces that can be read alone, in any order, by any worker.

Input: the configuration. Output: a list of units in the order of the recipe, and the documents of one of them, each
with the verdict of reading where that failed. Reading all units in order gives every document once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.extract.pages import extracted
from smolforge.corpus.ingest import folder, formats, git_checkout
from smolforge.corpus.ingest.dataset_folder import dataset_pieces
from smolforge.corpus.ingest.gettext import open_packages, read_gettext
from smolforge.corpus.ingest.python_sources import open_python, read_stdlib, read_topics
from smolforge.corpus.ingest.remote import join
from smolforge.corpus.ingest.report import Ledger, SourceRecord
from smolforge.corpus.ingest.spill import PACKING, Spilled
from smolforge.corpus.rows import STEP, Row, failed
from smolforge.corpus.text.words import printable, split_text

Read = tuple[Document, Verdict | None]  # a document, and the verdict of reading where that failed (text may be "")


@dataclass(frozen=True)
class Unit:
    """A piece of a source. ``items`` can be separated: ``unit.only(ranges)`` reads the items numbered so.

    ``source`` is the place in ``config.sources``; ``names`` are its records in the ledger. ``kind`` says how ``files``
    are read: "files" (several, whole), the reader of one file that is read in ranges, or a kind of source. ``ranges``
    are half-open and count what the kind counts: files of a batch, rows of Parquet, bytes of plain JSONL and WARC (a
    range owns what begins in it), lines of a packed file. ``max_bytes`` is this unit's share of the source's, and
    ``licence`` that of documents which state none. ``size`` is in bytes of input once it is unpacked, about.
    ``spilled``: the piece of the file, written beforehand, that has the rows of ``ranges``.
    """

    source: int
    names: tuple[str, ...]
    kind: str
    files: tuple[str, ...] = ()
    packing: str = ""
    ranges: tuple[tuple[int, int], ...] = ((0, 1),)
    max_bytes: int | None = None
    licence: str = ""
    size: int = 0
    spilled: Spilled | None = None

    @property
    def spills(self) -> bool:
        """Whether the file can only be read from its beginning, and is to be spilled."""
        return self.spilled is None and formats.Format(self.kind, self.packing).spills

    @property
    def times(self) -> float:
        """As many times as an ordinary unit this one may take."""
        return max(1.0, self.size / folder.PIECE_BYTES)

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
        spilled = Spilled.from_json(value["spilled"]) if value["spilled"] else None
        names, files = tuple(value["names"]), tuple(value["files"])
        return cls(**value | {"names": names, "files": files, "ranges": ranges, "spilled": spilled})


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
        return
    if spec.kind in ("python_stdlib", "pydoc_topics"):
        yield Unit(index, (open_python(spec, ledger).name,), spec.kind, max_bytes=spec.max_bytes)
        return
    assert spec.path is not None, "SourceSpec asks for it"
    record = ledger.open(spec.name or _stem(spec.path), "", spec.licence or "unknown")
    found = _PLANNERS[spec.kind](spec, record)
    total = max(sum(piece.size for piece in found), 1)
    for piece in found:
        share = None if spec.max_bytes is None else -(-spec.max_bytes * piece.size // total)
        kind, packing = "files", ""
        ranges: tuple[tuple[int, int], ...] = ((0, len(piece.files)),)
        if spec.kind == "git":
            kind = "git"
        elif piece.form is not None and not (piece.form.spills and share is not None and share <= folder.PIECE_BYTES):
            kind, packing, ranges = piece.form.reader, piece.form.packing, piece.ranges
        yield Unit(index, (record.name,), kind, piece.files, packing, ranges, share, record.licence, piece.size)


def _stem(path: str) -> str:
    last = path.rstrip("/").rpartition("/")[2] if "://" in path else Path(path).expanduser().resolve().name
    return PurePosixPath(last).stem or "folder"


def _folder_pieces(spec: SourceSpec, record: SourceRecord) -> list[folder.Piece]:
    assert spec.path is not None
    return folder.pieces(spec.path, folder.list_files(spec.path, record), spec.text_key, record)


_PLANNERS: dict[str, Callable[[SourceSpec, SourceRecord], list[folder.Piece]]] = {
    "folder": _folder_pieces,
    "dataset": dataset_pieces,
    "git": git_checkout.pieces,
}


def read_unit(unit: Unit, config: CorpusConfig, ledger: Ledger) -> Iterator[Read]:
    """Yield the documents of a unit that have text, and those that failed with their verdict; ``ledger`` (a fresh
    one) gets this unit's counts and problems under the names that planning gave: ``Ledger.add`` joins the two.

    ``max_bytes`` of a source is divided among its units by their size in bytes of input. A unit keeps its documents
    in order until they reach its share, so at most one document a unit is above; the rest is not read.
    """
    size = 0
    for document, verdict in _documents(unit, config, ledger):
        record = ledger.record(document.source)
        if verdict is not None:
            yield document, verdict
        elif document.text.strip():
            if unit.max_bytes is not None and size >= unit.max_bytes:
                record.leave_out("units cut short at max_bytes")
                return
            record.documents += 1
            record.bytes += document.bytes
            size += document.bytes
            yield document, None


def _documents(unit: Unit, config: CorpusConfig, ledger: Ledger) -> Iterator[Read]:
    spec = config.sources[unit.source]
    if unit.kind == "python_stdlib":
        return ((document, None) for document in read_stdlib(spec, config, ledger.record(unit.names[0])))
    if unit.kind == "pydoc_topics":
        return ((document, None) for document in read_topics(spec, config, ledger.record(unit.names[0])))
    if unit.kind == "gettext":
        return ((document, None) for document in read_gettext(spec, config, unit.names, ledger))
    return _read_files(unit, spec, config, ledger.record(unit.names[0]))


def _read_files(unit: Unit, spec: SourceSpec, config: CorpusConfig, record: SourceRecord) -> Iterator[Read]:
    assert spec.path is not None
    rows = extracted(_rows(unit, spec, spec.path, record), config)
    for relative, row in rows:
        for document, verdict in _row_documents(relative, row, spec, config, record):
            known = document.licence or unit.licence
            yield replace(document, licence=known), verdict


def _rows(unit: Unit, spec: SourceSpec, root: str, record: SourceRecord) -> Iterator[tuple[str, Row]]:
    """Yield (file, row) for what the unit names."""
    if unit.kind not in ("files", "git"):
        yield from ((unit.files[0], row) for row in _rows_of_one(unit, spec, root, record))
        return
    files = [unit.files[number] for first, last in unit.ranges for number in range(first, last)]
    if unit.kind == "git":
        yield from git_checkout.read_files(root, files, record)
        return
    for relative in files:
        rows = formats.read_file(join(root, relative), relative, formats.WHOLE, spec.text_key, record)
        yield from ((relative, row) for row in rows)


def _rows_of_one(unit: Unit, spec: SourceSpec, root: str, record: SourceRecord) -> Iterator[Row]:
    """Yield the rows of a unit's ranges of a file, from the piece that was written of it or from the file itself."""
    relative, piece = unit.files[0], unit.spilled
    path, form, begins = join(root, relative), formats.Format(unit.kind, unit.packing), 0
    if piece is not None:
        path, form, begins = piece.path, formats.Format(unit.kind, PACKING), piece.first
    yield from formats.read_file(path, relative, unit.ranges, spec.text_key, record, form, begins)
    if piece is not None and piece.torn:
        yield failed(*piece.torn)


def _row_documents(
    relative: str, row: Row, spec: SourceSpec, config: CorpusConfig, record: SourceRecord
) -> Iterator[Read]:
    place = f"file:{relative}" + (f"#{row.position}" if row.position else "")
    if row.verdict is not None and row.verdict.step == STEP:
        record.problem(relative, row.position or "file", f"{row.verdict.reason}: {row.verdict.detail}")
    pieces = split_text(row.text, config.max_document_characters) or ([""] if row.verdict else [])
    for index, piece in enumerate(pieces):
        yield _document(piece, place + (f"+{index}" if index else ""), row.fields, spec, record), row.verdict


def _document(text: str, place: str, fields: dict[str, Any], spec: SourceSpec, record: SourceRecord) -> Document:
    """Return a document; its id comes from its place, for two pages may have one address."""
    place = printable(place)
    fields = {name: printable(value) for name, value in fields.items() if len(value) <= _FIELD_CHARACTERS}
    url = fields.get("url") or place
    meta = {"profile": spec.rules or fields.get("profile") or spec.profile}
    meta |= {"place": place} if url != place else {}
    return Document.make(
        text,
        url=url,
        place=place,
        source=record.name,
        licence=str(spec.licence or fields.get("licence") or fields.get("license") or ""),
        language=spec.language or fields.get("language", ""),
        meta=meta | {name: fields[name] for name in _META if fields.get(name)},
    )


_FIELD_CHARACTERS = 8192  # of an address or licence; what is longer is left out, the text stays
_META = ("crawl_date", "date", "truncated", "repository", "path", "programming_language", "extractor")
