"""What the dedup steps take and give: shards of annotations with a mask each, and tables of what goes.

Input: the files of the ``read`` wave. Output: `Pool`, which every dedup step reads, and `Copies`, which each returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.engine.task import Job, Task

if TYPE_CHECKING:
    import pyarrow as pa

ROW_BITS = 32
_ROW = (1 << ROW_BITS) - 1


class Waves(Protocol):
    """What dedup needs of ``engine.wave.Runner``."""

    def wave(self, name: str, job: Job, tasks: Sequence[Task], argument: Any) -> list[Path]:
        """Run the job on every task and return the outputs, in the order of the tasks."""
        ...


@dataclass(frozen=True)
class Shard:
    """One shard. ``alive``: a ``.npy`` file, bool (rows,), False where an earlier step stopped the document."""

    annotations: Path
    documents: Path
    alive: Path | None = None


@dataclass(frozen=True)
class Pool:
    """All shards, in order: a place's shard is a number in ``shards``. ``sources`` are names in the order of their
    rank; ``ahead`` are those whose documents stay before any other's, whatever the length."""

    shards: tuple[Shard, ...]
    sources: tuple[str, ...]
    ahead: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copies:
    """Documents that go, with the one that stays instead: a table sorted by ``place``.

    Columns: place uint64; partner uint64, its place (from ``len(pool.shards) << 32`` on: a row of the saved index);
    partner_id string; score float32, the share of the document that occurs in the partner; source uint32, the rank.
    """

    table: pa.Table

    def rows_of(self, shard: int) -> Iterator[tuple[int, str, float]]:
        """Yield (row, partner_id, score) of one shard's documents, by row."""
        places = self.table["place"].to_numpy()
        first, last = np.searchsorted(places, [shard << ROW_BITS, (shard + 1) << ROW_BITS])
        part = self.table.slice(int(first), int(last - first))
        columns = (part[name].to_pylist() for name in ("place", "partner_id", "score"))
        for place, partner, score in zip(*columns, strict=True):
            yield place & _ROW, partner, score

    def mask(self, shard: int, rows: int) -> NDArray[np.bool_]:
        """Return bool (rows,) of one shard: True for documents that go."""
        gone = np.zeros(rows, np.bool_)
        gone[[row for row, _, _ in self.rows_of(shard)]] = True
        return gone


@dataclass(frozen=True)
class Groups:
    """Related documents that the held-out split must not tear apart: ``places`` uint64 (n,), ascending, and the place
    of each one's group, that of the member with the smallest id. Documents without relatives are not listed."""

    places: NDArray[np.uint64]
    groups: NDArray[np.uint64]


@dataclass(frozen=True)
class NearCopies:
    """``spared``: source -> documents that the wipe-out guard left in place; ``notes`` for the person."""

    copies: Copies
    groups: Groups
    spared: dict[str, int]
    notes: tuple[str, ...] = ()
