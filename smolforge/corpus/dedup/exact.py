"""Exact duplicates: the same text after NFC and white-space folding is kept once.

Input: shards with the fingerprints of all documents. Output: copies, each with the document that stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smolforge.corpus.dedup.copies import Copies, Wording, word_copies, write_copies
from smolforge.corpus.dedup.shuffle import gathered, partition_of, partitions_for, read_partition, write_partitions
from smolforge.corpus.dedup.tables import (
    Pool,
    Waves,
    alive_rows,
    numbered_tasks,
    part_number,
    places_of,
    read_columns,
    shard_tasks,
)
from smolforge.corpus.engine.task import Task
from smolforge.corpus.text.words import fold
from smolforge.store import digest_bytes

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

STEP = "exact_dedup"
VERSION = "3"
_WORDING = Wording(STEP, "same text", "kept {partner}")
_ROW_BYTES = 96  # of a row in the shuffle, its id included


def fingerprint(text: str) -> str:
    """Return the 128-bit digest of the folded text, in hex."""
    return digest_bytes(fold(text).encode())


def find_copies(pool: Pool, runner: Waves, indexes: Sequence[Path] = ()) -> Copies:
    """Return all but one of the documents of each fingerprint; what saved ``indexes`` hold stays before any other.

    Waves: ``exact-shuffle`` (rows by fingerprint), ``exact-judge``, ``exact-verdicts``. Keep order: the longest, then
    the earliest source, then the smallest id. Every score is 1.
    """
    tasks = shard_tasks(pool, indexes)
    partitions = partitions_for(pool.documents(indexes) * _ROW_BYTES)
    argument = ShuffleArgument(len(pool.shards), pool.sources, pool.ahead, partitions)
    shuffled = runner.wave("exact-shuffle", shuffle_job, tasks, argument)
    judged: list[Path] = []
    if shuffled:
        files = gathered(runner, "exact-rows", [path / "rows.arrow" for path in shuffled])
        judged = runner.wave("exact-judge", judge_job, numbered_tasks(partitions), tuple(map(str, files)))
    own = [path / "copies.arrow" for path in shuffled]
    return word_copies("exact", judged, own, pool, indexes, runner, _WORDING)


@dataclass(frozen=True)
class ShuffleArgument:
    """``shards``: how many are the corpus' own, the others are of a saved index."""

    shards: int
    sources: tuple[str, ...]
    ahead: tuple[str, ...]
    partitions: int


def shuffle_job(task: Task, output: Path, argument: ShuffleArgument) -> None:
    """Job: write a shard's copies within the shard, and one row a fingerprint for the shuffle."""
    import pyarrow as pa

    own = part_number(task.name) < argument.shards
    names = ("doc_id", "characters", "fingerprint", "source" if own else "rank")
    table = read_columns(task.inputs[0].path, names)
    rows = alive_rows(task, table.num_rows) if own else np.arange(table.num_rows, dtype=np.uint64)
    table = table.take(pa.array(rows))
    halves = np.frombuffer(b"".join(table["fingerprint"].to_pylist()), ">u8").astype(np.uint64).reshape(-1, 2)
    if own:
        ranks = {source: rank for rank, source in enumerate(argument.sources)}
        named = table["source"].to_pylist()
        tier = [1 if name in argument.ahead else 2 for name in named]
        source = [ranks[name] for name in named]
    else:
        tier, source = [0] * len(rows), table["rank"].to_pylist()
    columns = {
        "high": halves[:, 0],
        "low": halves[:, 1],
        "tier": np.array(tier, np.uint8),
        "characters": table["characters"],
        "source": np.array(source, np.uint32),
        "doc_id": table["doc_id"],
        "place": places_of(part_number(task.name), rows),
    }
    stay, copies = _split(pa.table(columns))
    output.mkdir()
    write_copies(output / "copies.arrow", copies)
    write_partitions(output / "rows.arrow", stay, partition_of(stay["high"].to_numpy(), argument.partitions))


def judge_job(task: Task, output: Path, files: tuple[str, ...]) -> None:
    """Job: judge the fingerprints of one partition of the shards' rows."""
    write_copies(output, _split(read_partition(list(map(Path, files)), part_number(task.name)))[1])


def _split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows that stay, one a fingerprint, and the copies."""
    keys = ("high", "low", "tier", "characters", "source", "doc_id")
    table = table.sort_by([(key, "descending" if key == "characters" else "ascending") for key in keys])
    high, low, tier = (table[name].to_numpy() for name in ("high", "low", "tier"))
    first = np.ones(len(high), np.bool_)
    first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    hubs = np.flatnonzero(first)[np.cumsum(first) - 1]
    copies = table.select(["place", "source"]).append_column("partner", table["place"].take(hubs))
    copies = copies.append_column("partner_id", table["doc_id"].take(hubs))
    copies = copies.append_column("score", [np.ones(len(high), np.float32)])
    return table.filter(first), copies.filter(~first & (tier > 0))
