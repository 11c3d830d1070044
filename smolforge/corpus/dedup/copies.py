"""Copies: documents that go, each with the one that stays instead, from the jobs that find them to verdicts.

Input: partitioned tables of copies, a shard a partition. Output: for each shard its verdicts, and places of copies with
those of their partners; nothing of it is ever together in one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.dedup.shuffle import gathered, read_partition, write_partitions
from smolforge.corpus.dedup.tables import (
    INDEX_FILE,
    ROW_BITS,
    ROW_MASK,
    Pool,
    Waves,
    index_parts,
    part_name,
    part_number,
    places_of,
    whole_task,
)
from smolforge.corpus.engine.task import Part, Task
from smolforge.corpus.verdicts import VERDICTS, read_verdicts, verdict_table, write_verdicts
from smolforge.store import read_json, write_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

PAIRS = "pairs.npy"
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Wording:
    """How a step words its verdicts; ``detail`` has the fields ``partner`` and ``score``."""

    step: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Copies:
    """The copies that a step found: a folder for each shard, with its ``verdicts`` and ``pairs.npy``, uint64 (n, 2):
    place, and place of the partner (from ``len(pool.shards) << 32`` on: a row of the saved indexes)."""

    folders: tuple[Path, ...]

    @property
    def verdicts(self) -> list[Path]:
        """Return the files of verdicts, one a shard."""
        return [folder / VERDICTS for folder in self.folders]


def _schema() -> pa.Schema:
    import pyarrow as pa

    types = {"place": pa.uint64(), "partner": pa.uint64(), "score": pa.float32(), "source": pa.uint32()}
    return pa.schema([*types.items(), ("partner_id", pa.string())])


def write_copies(path: Path, table: pa.Table) -> None:
    """Write copies by their shard. Columns: place uint64; partner uint64, its place; score float32, the share of the
    document that occurs in the partner; source uint32, the rank; partner_id string."""
    table = table.select(_schema().names).cast(_schema())
    write_partitions(path, table, (table["place"].to_numpy() >> np.uint64(ROW_BITS)).astype(np.int64))


@dataclass(frozen=True)
class CopiesArgument:
    """``files``: partitioned tables of all shards' copies; ``spared``: ranks of sources that lose none; ``prefixes``:
    what the ids of each part of the saved indexes get, of ``shards`` on."""

    files: tuple[str, ...]
    wording: Wording
    spared: tuple[int, ...]
    shards: int
    prefixes: tuple[str, ...]


def word_copies(
    name: str,
    files: Sequence[Path],
    own: Sequence[Path],
    pool: Pool,
    indexes: Sequence[Path],
    runner: Waves,
    wording: Wording,
    spared: tuple[int, ...] = (),
) -> Copies:
    """Write the verdicts of all copies in ``files``, and in those that each shard may have of its ``own``.

    Waves: ``<name>-copies-1`` ... where there are many files, ``<name>-verdicts``."""
    prefixes = tuple(f"{read_json(index / INDEX_FILE)['name']}:" for index in indexes for _ in index_parts(index))
    found = tuple(map(str, gathered(runner, f"{name}-copies", files)))
    argument = CopiesArgument(found, wording, spared, len(pool.shards), prefixes)
    parts = [tuple(Part(file, 0, 0) for file in own[number : number + 1]) for number in range(len(pool.shards))]
    tasks = [Task(part_name(number), part, 0) for number, part in enumerate(parts)]
    return Copies(tuple(runner.wave(f"{name}-verdicts", copies_job, tasks, argument)))


def copies_job(task: Task, output: Path, argument: CopiesArgument) -> None:
    """Job: write one shard's verdicts and pairs."""
    shard = part_number(task.name)
    files = [Path(part.path) for part in task.inputs] + list(map(Path, argument.files))
    table = read_partition(files, shard) if files else _schema().empty_table()
    table = table.filter(~np.isin(table["source"].to_numpy(), argument.spared)).sort_by("place").combine_chunks()
    places = table["place"].to_numpy()
    partners, ids = _stay(table)
    ids = [_prefix(argument, place) + name for place, name in zip(partners.tolist(), ids, strict=True)]
    scores, wording = table["score"].to_numpy(), argument.wording
    details = [wording.detail.format(partner=n, score=s) for n, s in zip(ids, scores.tolist(), strict=True)]
    rows = (places & np.uint64(ROW_MASK)).astype(np.int64)
    output.mkdir()
    verdicts = verdict_table(rows, wording.step, [wording.reason] * len(rows), details, ids, scores)
    write_verdicts(output / VERDICTS, [verdicts])
    np.save(output / PAIRS, np.stack([places, partners], axis=1))


def _stay(table: pa.Table) -> tuple[U64, list[str]]:
    """Return who stays for each copy; where a shard's own choice was itself a copy of one elsewhere, that one."""
    places, partners = table["place"].to_numpy(), table["partner"].to_numpy()
    if not len(places):
        return partners, []
    at = np.minimum(np.searchsorted(places, partners), len(places) - 1)
    at = np.where(places[at] == partners, at, np.arange(len(places)))
    return partners[at], table["partner_id"].take(at).to_pylist()


def _prefix(argument: CopiesArgument, place: int) -> str:
    part = (place >> ROW_BITS) - argument.shards
    return argument.prefixes[part] if part >= 0 else ""


@dataclass(frozen=True)
class LostArgument:
    """Folders of the shards' copies, of exact, then of near dedup, and the verdict files of the step that dropped."""

    exact: tuple[str, ...]
    near: tuple[str, ...]
    dropped: tuple[str, ...]


def copies_of_dropped(exact: Copies, near: Copies, dropped: Sequence[Path], runner: Waves) -> int:
    """Return how many documents went for one that a later step dropped: their text is lost. Wave: ``lost-copies``."""
    went, gone = (tuple(map(str, copies.folders)) for copies in (exact, near))
    argument = LostArgument(went, gone, tuple(map(str, dropped)))
    (file,) = runner.wave("lost-copies", lost_job, [whole_task("count.json", len(dropped))], argument)
    return int(read_json(file))


def lost_job(task: Task, output: Path, argument: LostArgument) -> None:
    """Job: count. Holds 8 bytes for each dropped document and each near copy of one."""
    gone = np.empty(0, np.uint64)
    found = [gone]
    for shard, file in enumerate(argument.dropped):
        rows = read_verdicts([Path(file)])["row"].to_numpy().astype(np.uint64)
        found.append(places_of(shard, rows))
    count = 0
    for step in (argument.near, argument.exact):  # who stays for an exact copy may have gone in near dedup
        gone = np.sort(np.concatenate([gone, *found]))
        found = [pairs[:, 0][_among(pairs[:, 1], gone)] for pairs in (np.load(Path(each) / PAIRS) for each in step)]
        count += sum(map(len, found))
    write_json(output, count)


def _among(values: U64, wanted: U64) -> NDArray[np.bool_]:
    """Return which values are in a sorted array."""
    if not len(wanted):
        return np.zeros(len(values), bool)
    return np.asarray(wanted[np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)] == values)
