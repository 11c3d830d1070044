"""Verification of nominated documents, one bundle of components after another.

Input: what ``near_texts`` wrote: documents with their band keys and shingles, in keep order. Output: a table of copies
and pairs (place, group).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.near_component import U32, Component, Found, Nominated, Pair
from smolforge.corpus.dedup.shuffle import Partitioned
from smolforge.corpus.dedup.tables import part_number, write_copies
from smolforge.corpus.engine.task import Task

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

VERSION = "2"


@dataclass(frozen=True)
class VerifyArgument:
    """``folder`` of the ``near-texts`` wave and the names of its outputs."""

    folder: str
    names: tuple[str, ...]
    config: DedupConfig


def verify_job(task: Task, output: Path, argument: VerifyArgument) -> None:
    """Job: decide one bundle of components."""
    import pyarrow as pa

    bundle = part_number(task.name)
    files = _holding(argument, bundle)
    found: list[Found] = []
    groups: list[tuple[int, int]] = []
    component: Component | None = None
    for document in heapq.merge(*(_documents(file, bundle) for file in files), key=lambda each: each.order):
        if component is None or component.number != document.component:
            groups += component.groups() if component else []
            component = Component(document.component, argument.config)
        removed = component.offer(document)
        if removed:
            found.append(removed)
    groups += component.groups() if component else []
    columns: dict[str, Any] = {
        "place": np.array([each.document.place for each in found], np.uint64),
        "partner": np.array([each.partner.place for each in found], np.uint64),
        "score": np.array([each.score for each in found], np.float32),
        "source": np.array([each.document.source for each in found], np.uint32),
    }
    output.mkdir()
    write_copies(output / "copies.arrow", pa.table(columns))
    np.save(output / "groups.npy", np.array(groups, np.uint64).reshape(-1, 2))


def _holding(argument: VerifyArgument, bundle: int) -> list[Partitioned]:
    """Open the shards' tables that hold documents of the bundle; the others do not stay open."""
    files = []
    for name in argument.names:
        file = Partitioned(Path(argument.folder) / name)
        if file.batches(bundle):
            files.append(file)
        else:
            file.close()
    return files


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
