"""Verification of nominated documents, one bundle of components after another.

Input: what ``near_texts`` wrote: documents with their band keys and shingles, in keep order. Output: tables of copies
and of related documents by shard, and how many each source would lose.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.copies import write_copies
from smolforge.corpus.dedup.near_component import U32, Component, Found, Nominated, Pair
from smolforge.corpus.dedup.shuffle import Partitioned, write_partitions
from smolforge.corpus.dedup.tables import ROW_BITS, part_number
from smolforge.corpus.engine.task import Task
from smolforge.store import write_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

VERSION = "3"
COPIES, GROUPS, LOST = "copies.arrow", "groups.arrow", "lost.json"


@dataclass(frozen=True)
class VerifyArgument:
    """``files``: what ``near_texts`` wrote, few enough to be open together."""

    files: tuple[str, ...]
    config: DedupConfig


def verify_job(task: Task, output: Path, argument: VerifyArgument) -> None:
    """Job: decide one bundle of components."""
    bundle = part_number(task.name)
    found: list[Found] = []
    groups: list[tuple[int, int, str]] = []
    component: Component | None = None
    with ExitStack() as stack:
        files = [stack.enter_context(Partitioned(Path(file))) for file in argument.files]
        documents = heapq.merge(*(_documents(file, bundle) for file in files), key=lambda each: each.order)
        for document in documents:
            if component is None or component.number != document.component:
                groups += component.groups() if component else []
                component = Component(document.component, argument.config)
            removed = component.offer(document)
            if removed:
                found.append(removed)
    groups += component.groups() if component else []
    output.mkdir()
    _write_copies(output / COPIES, found)
    _write_groups(output / GROUPS, groups)
    write_json(output / LOST, dict(sorted(Counter(str(each.document.source) for each in found).items())))


def _write_copies(path: Path, found: Sequence[Found]) -> None:
    import pyarrow as pa

    columns: dict[str, Any] = {
        "place": np.array([each.document.place for each in found], np.uint64),
        "partner": np.array([each.partner.place for each in found], np.uint64),
        "score": np.array([each.score for each in found], np.float32),
        "source": np.array([each.document.source for each in found], np.uint32),
        "partner_id": pa.array([each.partner.doc_id for each in found], pa.string()),
    }
    write_copies(path, pa.table(columns))


def _write_groups(path: Path, groups: Sequence[tuple[int, int, str]]) -> None:
    import pyarrow as pa

    place, group, name = zip(*groups, strict=True) if groups else ((), (), ())
    places = np.array(place, np.uint64)
    table = pa.table({"place": places, "group": np.array(group, np.uint64), "group_id": pa.array(name, pa.string())})
    write_partitions(path, table, (places >> np.uint64(ROW_BITS)).astype(np.int64))


def _documents(file: Partitioned, bundle: int) -> Iterator[Nominated]:
    """Yield one shard's documents of the bundle in keep order; one batch is in memory."""
    for number in file.batches(bundle):
        batch = file.batch(number)
        keys = batch["keys"].flatten().to_numpy().reshape(batch.num_rows, -1)
        names = ("component", "tier", "characters", "source", "doc_id", "place")
        rows = zip(*(batch[name].to_pylist() for name in names), strict=True)
        for row, (component, tier, characters, source, doc_id, place) in enumerate(rows):
            again = partial(_again, file, number, row)
            own = keys[row].copy(), _values(batch, "subjects", row), _pair(batch, row)
            yield Nominated(component, tier, characters, source, doc_id, place, *own, again)


def _again(file: Partitioned, number: int, row: int) -> Pair:
    return _pair(file.batch(number), row)


def _pair(batch: pa.RecordBatch, row: int) -> Pair:
    return _values(batch, "shingles", row), _values(batch, "words", row)


def _values(batch: pa.RecordBatch, name: str, row: int) -> U32:
    values: U32 = batch[name][row].values.to_numpy().copy()  # a copy, or it would hold the whole batch
    return values
