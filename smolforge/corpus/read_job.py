"""The read wave: units of the sources become document tables with their annotations beside them.

Input: a unit (files, or pieces of them). Output: a folder of ``documents-*.parquet`` and ``annotations-*.parquet``, row
for row the same documents, in pieces of about ``shard_bytes`` of text, and ``ledger.json`` with what was not read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.corpus.annotate import Read, annotate
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, Verdict, document_row, write_table
from smolforge.corpus.engine import Part, Task
from smolforge.corpus.ingest import Ledger, Unit, read_unit
from smolforge.corpus.shards import Shard, Shards
from smolforge.corpus.verdicts import verdict_table, write_verdicts
from smolforge.store import read_json, write_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

LOST_STEP, LOST_REASON = "poisoned", "no process survives it"
_BATCH = 512  # documents annotated at once


def unit_tasks(units: Sequence[Unit], plan: Path) -> list[Task]:
    """Return a task for each unit; ``plan`` is the file of units, which the tasks read theirs from."""
    return [
        Task(f"unit-{number:05d}", (Part(plan, number, number + 1),), unit.items, times=unit.times, size=unit.size)
        for number, unit in enumerate(units)
    ]


def read_task(task: Task, output: Path, config: CorpusConfig) -> None:
    """Job: read one unit, without the items that killed earlier tries."""
    unit = Unit.from_json(read_json(Path(task.inputs[0].path))[task.inputs[0].first])
    ledger = Ledger()
    write_shards(output, read_unit(unit.only(task.ranges), config, ledger), config)
    write_json(output / "ledger.json", ledger.as_json())


@dataclass(frozen=True)
class Lost:
    """An item of a unit that no process survived reading: ``url`` says where it lies."""

    source: str
    url: str
    licence: str
    why: str

    @classmethod
    def of(cls, unit: Unit, item: int, why: str) -> Lost:
        """Name an item of a unit: the file it is, or where it lies in the unit's file."""
        ((at, _),) = unit.only(((item, item + 1),)).ranges
        file = unit.files[at] if len(unit.files) > 1 else "".join(unit.files) or unit.kind
        whole = unit.kind in ("files", "git")
        return cls(unit.names[0], f"file:{unit.files[at]}" if whole else f"file:{file}#{unit.kind} at {at}", "", why)


def lost_task(task: Task, output: Path, argument: tuple[CorpusConfig, tuple[Lost, ...]]) -> None:
    """Job: write what could not be read as documents without text, each with its verdict."""
    config, lost = argument
    read = (
        (
            Document.make("", url=each.url, source=each.source, licence=each.licence),
            Verdict(LOST_STEP, LOST_REASON, each.why),
        )
        for each in lost
    )
    write_shards(output, read, config)


def write_shards(folder: Path, read: Iterable[Read], config: CorpusConfig) -> None:
    """Write documents and annotations, a new pair of files every ``shard_bytes`` of text; none for no document."""
    sizes = []
    for number, piece in enumerate(_pieces(read, config.shard_bytes)):
        rows = [document_row(document) for document, _ in piece]
        write_table(folder / f"documents-{number:05d}.parquet", rows)
        _write_annotations(folder / f"annotations-{number:05d}.parquet", piece, config)
        write_verdicts(folder / f"verdicts-{number:05d}.parquet", _early(piece))
        sizes.append({"documents": len(rows), "bytes": sum(document.bytes for document, _ in piece)})
    write_json(folder / "shards.json", sizes)


def _early(piece: Sequence[Read]) -> Iterator[pa.Table]:
    stopped: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for row, (_, verdict) in enumerate(piece):
        if verdict is not None:
            stopped[verdict.step].append((row, verdict.reason, verdict.detail))
    for step, found in stopped.items():
        rows, reasons, details = zip(*found, strict=True)
        yield verdict_table(rows, step, reasons, details)


def _pieces(read: Iterable[Read], size: int) -> Iterator[list[Read]]:
    piece: list[Read] = []
    held = 0
    for each in read:
        piece.append(each)
        held += each[0].bytes
        if held >= size:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece


def _write_annotations(path: Path, piece: Sequence[Read], config: CorpusConfig) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    tables = [annotate(piece[first : first + _BATCH], config) for first in range(0, len(piece), _BATCH)]
    pq.write_table(pa.concat_tables(tables), path, compression="zstd", compression_level=3)


def shards_of(folders: Iterable[Path]) -> Shards:
    """Return the shards that reading wrote, in the order of the units."""
    found: list[Shard] = []
    for folder in folders:
        sizes: list[dict[str, Any]] = read_json(folder / "shards.json")
        for number, size in enumerate(sizes):
            files = {name: folder / f"{name}-{number:05d}.parquet" for name in ("documents", "annotations", "verdicts")}
            found.append(Shard(len(found), rows=size["documents"], bytes=size["bytes"], **files))
    return Shards(found)
