"""Boilerplate lines: what the pages of one host repeat at their edges and in blocks is cut, not learned.

Input: alive documents, by host (or source where there is no host). Output: one sorted file of keys of boilerplate
lines, and `Boilerplate`, which cuts them from a document. Code and mathematics, code blocks and tables are left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from smolforge.corpus.dedup.config import LineConfig
from smolforge.corpus.dedup.minhash import U64, mix
from smolforge.corpus.dedup.near_texts import texts_of
from smolforge.corpus.dedup.shuffle import gathered, partition_of, partitions_for, read_partition, write_partitions
from smolforge.corpus.dedup.tables import (
    Pool,
    Waves,
    alive_rows,
    numbered_tasks,
    part_number,
    read_columns,
    shard_tasks,
    whole_task,
)
from smolforge.corpus.engine.task import Task
from smolforge.corpus.text.language import DECLARED_ONLY

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

STEP = "line_dedup"
REASON = "only boilerplate"
_LINES_A_DOCUMENT = 64  # to plan the number of partitions
_ROW_BYTES = 24
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_CODE = re.compile(r"(?: {4}|\t)\s*(?![-*•·\s])")
_FENCES = ("```", "~~~")


@dataclass(frozen=True)
class LinesArgument:
    """``hosts``: the file of ``totals_job``."""

    partitions: int
    hosts: str
    config: LineConfig


def find_boilerplate(pool: Pool, config: LineConfig, runner: Waves) -> Path:
    """Return a ``.npy`` file, uint64, ascending: keys of the lines that are boilerplate on their host.

    Waves: ``line-hosts`` (documents a host), ``line-totals``, ``line-counts`` (documents a line, of hosts that are
    large enough; reads their texts), ``line-judge``, ``line-keys``.
    """
    tasks = shard_tasks(pool, ())
    counted = runner.wave("line-hosts", hosts_job, tasks, None)
    totals = (tuple(map(str, counted)), config.documents)
    (hosts,) = runner.wave("line-totals", totals_job, [whole_task("hosts.npy", len(counted))], totals)
    partitions = partitions_for(pool.documents(()) * _LINES_A_DOCUMENT * _ROW_BYTES)
    argument = LinesArgument(partitions, str(hosts), config)
    lines = gathered(runner, "line-counts", runner.wave("line-counts", lines_job, tasks, argument))
    found: list[Path] = []
    if lines:
        judge = JudgeArgument(tuple(map(str, lines)), str(hosts), config)
        found = runner.wave("line-judge", judge_job, numbered_tasks(partitions), judge)
    (keys,) = runner.wave("line-keys", merge_job, [whole_task("boilerplate.npy", len(found))], tuple(map(str, found)))
    return keys


def totals_job(task: Task, output: Path, argument: tuple[tuple[str, ...], int]) -> None:
    """Job: add up the shards' documents by host; argument: files of ``hosts_job``, least documents of a host."""
    files, least = argument
    with output.open("wb") as stream:
        np.save(stream, _hosts(map(Path, files), least))


def merge_job(task: Task, output: Path, files: tuple[str, ...]) -> None:
    """Job: write the keys of all partitions as one array. Holds 8 bytes a key, twice."""
    keys = np.concatenate([np.empty(0, np.uint64), *map(np.load, files)])
    keys.sort()
    with output.open("wb") as stream:
        np.save(stream, keys)


def _hosts(files: Iterable[Path], least: int) -> U64:
    """Return (host, documents), uint64 (n, 2), of hosts with at least ``least`` documents, by host."""
    total = np.empty((0, 2), np.uint64)
    waiting: list[U64] = []
    for file in files:  # added up when there is as much again, so that the cost stays linear in the files
        waiting.append(np.load(file))
        if sum(map(len, waiting)) > len(total):
            total, waiting = _added_up([total, *waiting]), []
    total = _added_up([total, *waiting])
    return total[total[:, 1] >= least]


def _added_up(counts: Sequence[U64]) -> U64:
    both = np.concatenate(counts)
    hosts, inverse = np.unique(both[:, 0], return_inverse=True)
    sums = np.bincount(inverse, weights=both[:, 1], minlength=len(hosts)).astype(np.uint64)
    return np.stack([hosts, sums], axis=1)


def host_of(url: str, source: str) -> str:
    """Return whose boilerplate a document shares: its host without ``www.``, or its source."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return host.lower().removeprefix("www.") if host else f"source {source}"


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def hosts_job(task: Task, output: Path, _: None) -> None:
    """Job: count a shard's documents by host."""
    table = read_columns(task.inputs[0].path, ("url", "source", "label"))
    table = table.take(alive_rows(task, table.num_rows))
    names = zip(table["url"].to_pylist(), table["source"].to_pylist(), strict=True)
    counts = Counter(host_of(url, source) for url, source in names)
    rows = sorted((_hash(host), count) for host, count in counts.items())
    with output.open("wb") as stream:
        np.save(stream, np.array(rows, np.uint64).reshape(-1, 2))


def lines_job(task: Task, output: Path, argument: LinesArgument) -> None:
    """Job: count in how many of a shard's documents each line of a host stands."""
    import pyarrow as pa

    table = read_columns(task.inputs[0].path, ("url", "source", "label"))
    rows = alive_rows(task, table.num_rows)
    table = table.take(rows)
    large = set(np.load(argument.hosts)[:, 0].tolist())
    found: list[U64] = []
    owners: list[U64] = []
    columns = (table[name].to_pylist() for name in ("url", "source", "label"))
    names = zip(texts_of(task.inputs[1].path, rows.astype(np.int64)), *columns, strict=True)
    for text, url, source, label in names:
        host = _hash(host_of(url, source))
        if host in large and label not in DECLARED_ONLY:
            keys = np.unique(_keys(text.split("\n"), host)[0])
            keys = keys[keys != 0]
            found.append(keys)
            owners.append(np.full(len(keys), host, np.uint64))
    keys, first, counts = np.unique(
        np.concatenate([np.empty(0, np.uint64), *found]), return_index=True, return_counts=True
    )
    hosts = np.concatenate([np.empty(0, np.uint64), *owners])[first]
    rows_of = pa.table({"key": keys, "host": hosts, "count": counts.astype(np.uint64)})
    write_partitions(output, rows_of, partition_of(keys, argument.partitions))


@dataclass(frozen=True)
class JudgeArgument:
    """``files``: partitioned tables of counted lines; ``hosts``: the file of ``totals_job``."""

    files: tuple[str, ...]
    hosts: str
    config: LineConfig


def judge_job(task: Task, output: Path, argument: JudgeArgument) -> None:
    """Job: add up one partition's counts and write the keys of boilerplate lines."""
    table = read_partition(list(map(Path, argument.files)), part_number(task.name))
    keys, first, inverse = np.unique(table["key"].to_numpy(), return_index=True, return_inverse=True)
    counts = np.bincount(inverse, weights=table["count"].to_numpy(), minlength=len(keys))
    hosts, totals = np.load(argument.hosts).T
    total = totals[np.searchsorted(hosts, table["host"].to_numpy()[first])]
    config = argument.config
    with output.open("wb") as stream:
        np.save(stream, keys[(counts >= config.documents) & (counts >= np.ceil(config.share * total))])


def _keys(lines: Sequence[str], host: int) -> tuple[U64, list[bool]]:
    """Return a key for each line, 0 for one that cannot be boilerplate, and whether it says nothing at all."""
    hashes, silent = [], []
    fenced = False
    for line in lines:
        bare = line.strip()
        is_fence = bare.startswith(_FENCES)
        exempt = fenced or is_fence or bare.startswith("|") or _CODE.match(line) is not None
        fenced ^= is_fence
        silent.append(not exempt and not any(map(str.isalnum, bare)))
        keyed = not exempt and _LETTER.search(bare) is not None  # a line of numbers is data
        hashes.append(_hash(_DIGIT.sub("0", " ".join(bare.split()).lower())) if keyed else 0)
    found = np.array(hashes, np.uint64)
    return np.where(found == 0, np.uint64(0), mix(found ^ np.uint64(host))), silent


class Boilerplate:
    """The lines found by ``find_boilerplate``."""

    def __init__(self, keys: U64, config: LineConfig) -> None:
        self._keys, self._config = keys, config

    @classmethod
    def load(cls, path: Path, config: LineConfig) -> Boilerplate:
        """Open the file that ``find_boilerplate`` returned; it is mapped, not read whole."""
        return cls(np.load(path, mmap_mode="r"), config)

    def cut(self, text: str, host: str, label: str) -> tuple[str, int]:
        """Return the text without boilerplate lines, and how many were cut."""
        if not len(self._keys) or label in DECLARED_ONLY:
            return text, 0
        lines = text.split("\n")
        keys, silent = _keys(lines, _hash(host))
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = ((self._keys[at] == keys) & (keys != 0)).tolist()
        gone = [number for run in self._runs(known, silent) for number in run]
        if not gone:
            return text, 0
        left = set(range(len(lines))).difference(gone)
        return "\n".join(lines[number] for number in sorted(left)).strip("\n"), sum(known[number] for number in gone)

    def cut_all(self, texts: Iterable[str], table: pa.Table) -> Iterator[str]:
        """Yield texts without boilerplate; the table has their columns url, source and label."""
        columns = (table[name].to_pylist() for name in ("url", "source", "label"))
        for text, url, source, label in zip(texts, *columns, strict=True):
            yield self.cut(text, host_of(url, source), label)[0]

    def too_little(self, text: str, cut: int) -> bool:
        """True for a document that had lines cut and is left with too little to keep."""
        return cut > 0 and len(text.strip()) < self._config.least_characters

    def _runs(self, known: Sequence[bool], silent: Sequence[bool]) -> Iterator[range]:
        """Yield runs of lines to cut: from a known line to a known line, with nothing but silent lines between."""
        marks = [number for number, one in enumerate(known) if one]
        speaking = [number for number in range(len(known)) if not silent[number]]
        first, last = (speaking[0], speaking[-1]) if speaking else (0, -1)
        start = 0
        for at in range(len(marks)):
            between = range(marks[at] + 1, marks[at + 1]) if at + 1 < len(marks) else None
            if between is None or not all(silent[number] for number in between):
                run = range(marks[start], marks[at] + 1)
                if run.start <= first or run.stop > last or at + 1 - start >= self._config.block:
                    yield run
                start = at + 1
