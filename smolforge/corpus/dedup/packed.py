"""From keys to the tasks that compare: edges between documents, and the table of who is compared with whom.

Input: what ``components.write_keys`` wrote of each shard. Output: files of edges, and a table on disk of which each
shard takes its part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from smolforge.corpus.dedup.components import I64, U64, bucket_job
from smolforge.corpus.dedup.shuffle import gathered
from smolforge.corpus.dedup.tables import ROW_BITS, ROW_MASK, Waves, numbered_tasks
from smolforge.corpus.engine.task import Part, Task
from smolforge.store import read_json, write_json


def find_edges(name: str, keyed: Sequence[Path], partitions: int, runner: Waves) -> tuple[str, ...]:
    """Return files of edges between documents that share a key.

    Waves: ``<name>-keys-1`` ... where there are many shards, ``<name>-buckets``.
    """
    files = gathered(runner, f"{name}-keys", [path / "keys.arrow" for path in keyed])
    found = runner.wave(f"{name}-buckets", bucket_job, numbered_tasks(partitions), tuple(map(str, files)))
    return tuple(str(path / "edges.npy") for path in keyed) + tuple(map(str, found))


@dataclass(frozen=True)
class Packed:
    """Documents to compare, by shard and by bundle. ``table``: a ``.npy`` file, uint64 (n, 3): place, component,
    bundle, by place; ``bounds``: where each shard's begin in it, and its end."""

    table: Path
    bounds: tuple[int, ...]
    bundles: int
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Packed:
        """Open what ``write_packed`` wrote."""
        value = read_json(folder / "packed.json")
        return cls(folder / "table.npy", tuple(value["bounds"]), value["bundles"], tuple(value["notes"]))

    def tasks(self, shards: Sequence[Task]) -> list[Task]:
        """Return the tasks of shards that have documents to compare, each with its part of the table as last input."""
        return [
            replace(task, inputs=(*task.inputs, Part(self.table, first, last)))
            for task, (first, last) in zip(shards, pairwise(self.bounds), strict=True)
            if first < last
        ]


def shard_bounds(places: U64, shards: int) -> tuple[int, ...]:
    """Return where each shard's begin among ascending places, and their end."""
    return tuple(np.searchsorted(places, np.arange(shards + 1, dtype=np.uint64) << np.uint64(ROW_BITS)).tolist())


def write_packed(output: Path, places: U64, labels: I64, bundle: I64, shards: int, notes: Sequence[str] = ()) -> None:
    """Write the folder that ``Packed.load`` opens."""
    output.mkdir()
    columns = (places, labels.astype(np.uint64), bundle.astype(np.uint64))
    np.save(output / "table.npy", np.stack(columns, axis=1))
    count = int(bundle.max()) + 1 if len(bundle) else 0
    bounds = shard_bounds(places, shards)
    write_json(output / "packed.json", {"bounds": bounds, "bundles": count, "notes": notes})


def sizes_at(places: U64, files: Sequence[Path]) -> I64:
    """Return the sizes of documents, from a ``.npy`` file a shard, which has a size a row."""
    sizes = np.zeros(len(places), np.int64)
    for file, (first, last) in zip(files, pairwise(shard_bounds(places, len(files))), strict=True):
        if first < last:
            rows = (places[first:last] & np.uint64(ROW_MASK)).astype(np.int64)
            sizes[first:last] = np.load(file, mmap_mode="r")[rows]
    return sizes
