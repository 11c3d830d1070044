"""Which documents may belong together: those that share a key, in components, packed into bundles of bounded size.

Input: for each shard, 64-bit keys of its documents (MinHash bands, or fingerprints of passages). Output: components as
arrays over the documents that share a key with another, and a bundle for each. Sharing a key proves nothing; what is
done with a component is the caller's business.

A shard's documents of one key become a star around the first of them, and only that one goes into the shuffle: so a
key that a million documents share costs a million rows read and one row sent a shard.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.dedup.shuffle import partition_of, read_partition, write_partitions
from smolforge.corpus.dedup.tables import part_number
from smolforge.corpus.engine.task import Task

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
ROW_BYTES = 16  # of a key and its place


def write_keys(output: Path, keys: U64, places: U64, partitions: int) -> None:
    """Write a shard's (key, place) pairs: stars within the shard, and one row a key for the shuffle."""
    import pyarrow as pa  # type: ignore[import-untyped]

    keys, places, edges = _stars(keys, places)
    output.mkdir()
    np.save(output / "edges.npy", edges)
    write_partitions(output / "keys.arrow", pa.table({"key": keys, "place": places}), partition_of(keys, partitions))


def bucket_job(task: Task, output: Path, files: tuple[str, ...]) -> None:
    """Job: join the shards' representatives of each key of a partition in a star."""
    table = read_partition(list(map(Path, files)), part_number(task.name))
    _, _, edges = _stars(table["key"].to_numpy(), table["place"].to_numpy())
    with output.open("wb") as stream:
        np.save(stream, edges)


def _stars(keys: U64, places: U64) -> tuple[U64, U64, U64]:
    """Return the distinct keys, the smallest place of each, and edges (n, 2) from it to the key's other places."""
    order = np.lexsort((places, keys))
    keys, places = keys[order], places[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    hubs = places[first][np.cumsum(first) - 1]
    return keys[first], places[first], _distinct(np.stack([hubs, places], axis=1)[~first & (hubs != places)])


def _distinct(pairs: U64) -> U64:
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.ones(len(pairs), np.bool_)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return np.ascontiguousarray(pairs[new])


@dataclass(frozen=True)
class Components:
    """``places`` uint64 (n,), ascending: documents that share a key with another; ``labels`` int64 (n,): the number in
    ``places`` of the first document of its component."""

    places: U64
    labels: I64

    def only(self, chosen: NDArray[np.bool_]) -> Components:
        """Return the components that have a chosen document."""
        wanted = np.zeros(len(self.places), np.bool_)
        wanted[self.labels[chosen]] = True
        stay = wanted[self.labels]
        return Components(self.places[stay], np.cumsum(stay)[self.labels[stay]] - 1)


def components(edges: Iterable[Path]) -> Components:
    """Join edge files one at a time; memory grows with the documents in them, not with the edges."""
    files = list(edges)
    places = _union(files)
    parent = np.arange(len(places))
    for file in files:
        _join(parent, np.searchsorted(places, np.load(file)))
    return Components(places, _roots(parent, parent))


def _union(files: Iterable[Path]) -> U64:
    """Return the distinct places in edge files, ascending. What is found so far is merged with as much again at a time,
    so that cost stays linear in the edges (but for a logarithm) however many files they are in."""
    found = np.empty(0, np.uint64)
    waiting: list[U64] = []
    for file in files:
        waiting.append(np.unique(np.load(file)))
        if sum(map(len, waiting)) > len(found):
            found, waiting = np.unique(np.concatenate([found, *waiting])), []
    return np.unique(np.concatenate([found, *waiting]))


def _join(parent: I64, pairs: I64) -> None:
    """Join pairs (n, 2) of elements in place; a set's root is its smallest element."""
    while len(pairs):
        pairs = np.sort(_roots(parent, pairs), axis=1)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        np.minimum.at(parent, pairs[:, 1], pairs[:, 0])


def _roots(parent: I64, elements: I64) -> I64:
    found: I64 = parent[elements]
    while not np.array_equal(higher := parent[found], found):
        found = higher
    parent[elements] = found
    return found


def bundles(labels: I64, sizes: I64, limit: int) -> I64:
    """Return the bundle of each document, int64 (n,): whole components in order, about ``limit`` of size a bundle (a
    component that is larger has its own)."""
    total = np.bincount(labels, weights=sizes, minlength=len(labels)).astype(np.int64)
    starts = np.cumsum(total) - total
    number = starts // max(1, limit)
    dense: I64 = np.unique(number[labels], return_inverse=True)[1]
    return dense
