"""Repeated passages: what stands in an earlier document already is cut from a later one.

Input: alive documents. Output: one sorted file of (place, begin, end), and `Passages`, which cuts them from a document.
Earlier is keep order: the longest document, then the earliest source, then the smallest id.

Exact: within a group, a suffix array finds every passage of at least ``least_bytes`` equal bytes. Sampled hashes decide
which documents are in one group, and any two that share such a passage share a hash; so what is cut does not depend on
shards. Not exact: documents that are all connected and together larger than a group are divided, in the order of their
places, and a passage stays once in each part; a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus import _text
from smolforge.corpus.dedup.components import ROW_BYTES, bundles, components, write_keys
from smolforge.corpus.dedup.config import LineConfig, SubstringConfig
from smolforge.corpus.dedup.lines import Boilerplate
from smolforge.corpus.dedup.near_texts import texts_of
from smolforge.corpus.dedup.packed import Packed, find_edges, sizes_at, write_packed
from smolforge.corpus.dedup.shuffle import gathered, partitions_for, read_partition, write_partitions
from smolforge.corpus.dedup.tables import (
    ROW_MASK,
    Pool,
    Waves,
    alive_rows,
    numbered_tasks,
    part_number,
    places_of,
    read_columns,
    row_count,
    shard_tasks,
    whole_task,
)
from smolforge.corpus.engine.task import Task
from smolforge.corpus.text.kernel import buffer_of
from smolforge.corpus.text.words import HAN

STEP = "substring_dedup"
REASON = "only repeated passages"
I64 = NDArray[np.int64]
_BATCH = 256  # documents hashed at once
_INSIDE_CHARACTER = 0x80  # the upper two bits of a byte of UTF-8 that begins no character
_HAN = re.compile(f"[{HAN}]")


@dataclass(frozen=True)
class PassageArgument:
    """What the jobs of all waves need."""

    sources: tuple[str, ...]
    ahead: tuple[str, ...]
    partitions: int
    config: SubstringConfig
    boilerplate: Path | None = None
    lines: LineConfig | None = None


def find_passages(
    pool: Pool,
    config: SubstringConfig,
    runner: Waves,
    boilerplate: Path | None = None,
    lines: LineConfig | None = None,
) -> tuple[Path, tuple[str, ...]]:
    """Return a ``.npy`` file, int64 (n, 3), of (place, begin, end) in characters, ascending, and notes for the person.

    Where boilerplate lines were found (the file and its configuration), places are those of the text without them.

    Waves: ``passage-keys`` (reads the texts), ``passage-buckets``, ``passage-groups``, ``passage-texts`` (reads what
    shares a hash), ``passage-cuts``, ``passages``. A cut takes 21 bytes of memory for each byte of a group.
    """
    tasks = shard_tasks(pool, ())
    sampled = pool.bytes * 4 // config.least_bytes
    argument = PassageArgument(
        pool.sources, pool.ahead, partitions_for(sampled * ROW_BYTES), config, boilerplate, lines
    )
    keyed = runner.wave("passage-keys", keys_job, tasks, argument)
    edges = find_edges("passage", keyed, argument.partitions, runner) if keyed else ()
    groups = GroupsArgument(edges, tuple(str(path / "sizes.npy") for path in keyed), config.group_mib << 20)
    (folder,) = runner.wave("passage-groups", groups_job, [whole_task("passage-groups", len(keyed))], groups)
    packed = Packed.load(folder)
    written = runner.wave("passage-texts", texts_job, packed.tasks(tasks), argument)
    cut = CutArgument(tuple(map(str, gathered(runner, "passage-texts", written))), config)
    cuts = runner.wave("passage-cuts", cuts_job, numbered_tasks(packed.bundles), cut)
    (table,) = runner.wave("passages", merge_job, [whole_task("passages.npy", len(cuts))], tuple(map(str, cuts)))
    return table, packed.notes


@dataclass(frozen=True)
class GroupsArgument:
    """``edges``: files of them; ``sizes``: of each shard, in bytes; ``limit``: bytes of a group."""

    edges: tuple[str, ...]
    sizes: tuple[str, ...]
    limit: int


def groups_job(task: Task, output: Path, argument: GroupsArgument) -> None:
    """Job: join documents that share a hash, pack them into groups."""
    joined = components(map(Path, argument.edges))
    sizes = sizes_at(joined.places, [Path(file) for file in argument.sizes])
    labels, notes = _divided(joined.labels, sizes, argument.limit)
    group = bundles(labels, sizes, argument.limit)
    write_packed(output, joined.places, labels, group, len(argument.sizes), notes)


def merge_job(task: Task, output: Path, files: tuple[str, ...]) -> None:
    """Job: write the cuts of all groups as one table. Holds 24 bytes a cut, twice."""
    table = np.concatenate([np.empty((0, 3), np.int64), *map(np.load, files)])
    with output.open("wb") as stream:
        np.save(stream, table[np.lexsort((table[:, 1], table[:, 0]))])


def _divided(labels: I64, sizes: I64, limit: int) -> tuple[I64, tuple[str, ...]]:
    """Give components that are larger than a group several labels, each those of documents next to each other."""
    total = np.bincount(labels, weights=sizes, minlength=len(labels)).astype(np.int64)
    labels = labels.copy()
    large = np.flatnonzero(total > limit)
    for label in large.tolist():
        members = np.flatnonzero(labels == label)
        part = (np.cumsum(sizes[members]) - sizes[members]) // limit
        _, first = np.unique(part, return_index=True)
        labels[members] = members[first[np.searchsorted(np.unique(part), part)]]
    if not len(large):
        return labels, ()
    megabytes = int(total[large].sum()) >> 20
    return labels, (
        f"{len(large)} sets of connected documents ({megabytes} MiB) are larger than corpus.substring_dedup.group_mib: "
        "they were compared in parts, and a passage stays once in each",
    )


def keys_job(task: Task, output: Path, argument: PassageArgument) -> None:
    """Job: write a shard's sampled hashes for the shuffle."""
    rows = alive_rows(task, row_count(task.inputs[0].path)).astype(np.int64)
    gram = argument.config.least_bytes // 2
    window = argument.config.least_bytes - gram + 1
    texts = _texts(task, rows, argument)
    found: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    counts: list[I64] = [np.empty(0, np.int64)]
    while batch := list(islice(texts, _BATCH)):
        keys, count = _text.passage_keys(*buffer_of(batch), gram, window)
        found.append(keys)
        counts.append(count)
    places = np.repeat(places_of(part_number(task.name), rows.astype(np.uint64)), np.concatenate(counts))
    write_keys(output, np.concatenate(found), places, argument.partitions)
    np.save(output / "sizes.npy", read_columns(task.inputs[0].path, ("bytes",))["bytes"].to_numpy())


def _texts(task: Task, rows: I64, argument: PassageArgument) -> Iterator[str]:
    """Yield the texts of a shard's rows, without boilerplate lines."""
    texts = texts_of(task.inputs[1].path, rows)
    if argument.boilerplate is None or argument.lines is None:
        return texts
    table = read_columns(task.inputs[0].path, ("url", "source", "label")).take(rows)
    return Boilerplate.load(argument.boilerplate, argument.lines).cut_all(texts, table)


def texts_job(task: Task, output: Path, argument: PassageArgument) -> None:
    """Job: write the texts that share a hash, by group; the last input is the shard's part of their table."""
    import pyarrow as pa  # type: ignore[import-untyped]

    chosen = task.inputs[-1]
    place, _, group = np.load(chosen.path, mmap_mode="r")[chosen.first : chosen.last].T.copy()
    rows = (place & np.uint64(ROW_MASK)).astype(np.int64)
    table = read_columns(task.inputs[0].path, ("doc_id", "source", "characters")).take(pa.array(rows))
    ranks = {source: rank for rank, source in enumerate(argument.sources)}
    source = table["source"].to_pylist()
    columns: dict[str, Any] = {
        "tier": np.array([1 if name in argument.ahead else 2 for name in source], np.uint8),
        "characters": table["characters"],
        "source": pa.array([ranks[name] for name in source], pa.uint32()),
        "doc_id": table["doc_id"],
        "place": place,
        "text": pa.array(list(_texts(task, rows, argument)), pa.large_string()),
    }
    write_partitions(output, pa.table(columns), group.astype(np.int64))


@dataclass(frozen=True)
class CutArgument:
    """``files``: what ``texts_job`` wrote."""

    files: tuple[str, ...]
    config: SubstringConfig


def cuts_job(task: Task, output: Path, argument: CutArgument) -> None:
    """Job: find what to cut in one group."""
    table = read_partition(list(map(Path, argument.files)), part_number(task.name))
    order = [("tier", "ascending"), ("characters", "descending"), ("source", "ascending"), ("doc_id", "ascending")]
    table = table.sort_by(order)
    texts, places = table["text"].to_pylist(), table["place"].to_pylist()
    found = _text.repeated_passages(*buffer_of(texts), argument.config.least_bytes)
    cuts = []
    for number in np.unique(found[:, 0]).tolist():
        spans = found[found[:, 0] == number][:, 1:].tolist()
        cuts += [(places[number], begin, end) for begin, end in whole_words(texts[number], spans)]
    with output.open("wb") as stream:
        np.save(stream, np.array(cuts, np.int64).reshape(-1, 3))


def whole_words(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans of UTF-8 bytes, ascending, as spans of characters: what of them is whole words."""
    data = text.encode("utf-8", "replace")
    found, at, character = [], 0, 0
    for begin, end in spans:
        while begin < end and data[begin] & 0xC0 == _INSIDE_CHARACTER:
            begin += 1
        while end < len(data) and data[end] & 0xC0 == _INSIDE_CHARACTER:
            end -= 1
        first = character + len(data[at:begin].decode())
        last = first + len(data[begin:end].decode())
        at, character = end, last
        while first < last and _inside_word(text, first):
            first += 1
        while last > first and _inside_word(text, last):
            last -= 1
        if first < last:
            found.append((first, last))
    return found


def _inside_word(text: str, at: int) -> bool:
    pair = text[at - 1 : at + 1] if at else ""
    return len(pair) == 2 and pair.isalnum() and not _HAN.search(pair)


def _joined(left: str, right: str) -> str:
    return f"{left} {right}" if left and _inside_word(left[-1] + right[:1], 1) else left + right


class Passages:
    """The passages found by ``find_passages``."""

    def __init__(self, table: I64, config: SubstringConfig) -> None:
        self._table, self._config = table, config

    @classmethod
    def load(cls, path: Path, config: SubstringConfig) -> Passages:
        """Open the file that ``find_passages`` returned; it is mapped, not read whole."""
        return cls(np.load(path, mmap_mode="r"), config)

    def cut(self, text: str, place: int) -> tuple[str, int]:
        """Return a document's text (without boilerplate lines) without repeated passages, and how many were cut."""
        first, last = np.searchsorted(self._table[:, 0], [place, place + 1])
        if first == last:
            return text, 0
        left, at = "", 0
        for _, begin, end in self._table[first:last].tolist():
            left, at = _joined(left, text[at:begin]), end
        return _joined(left, text[at:]).strip(), int(last - first)

    def too_little(self, text: str, cut: int) -> bool:
        """True for a document that had passages cut and is left with too little to keep."""
        return cut > 0 and len(text.strip()) < self._config.least_characters
