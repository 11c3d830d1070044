"""Shards and places: where each document of the stage lies.

Input: the folders that reading wrote. Output: shards in the order of the recipe, and places: ``shard << 32 | row``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from smolforge.corpus.dedup.tables import part_name


@dataclass(frozen=True)
class Shard:
    """One part of the document table with its annotations and the verdicts of reading. ``bytes`` are UTF-8 of text."""

    number: int
    documents: Path
    annotations: Path
    verdicts: Path
    rows: int
    bytes: int

    @property
    def name(self) -> str:
        """The shard's name in every later wave."""
        return part_name(self.number)


class Shards(Sequence[Shard]):
    """All shards of the stage, by number."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._shards = tuple(shards)

    @overload
    def __getitem__(self, index: int) -> Shard: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Shard, ...]: ...

    def __getitem__(self, index: int | slice) -> Shard | tuple[Shard, ...]:
        return self._shards[index]

    def __len__(self) -> int:
        return len(self._shards)

    @property
    def documents(self) -> int:
        """Number of documents in all shards."""
        return sum(shard.rows for shard in self._shards)
