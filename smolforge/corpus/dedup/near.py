"""Near duplicates: MinHash buckets only nominate; a document goes only if its text occurs in the one that stays.

Input: shards with the band keys of all documents. Output: copies, each with its partner and score, and the groups of
related documents that the held-out split must not tear apart.

Sharing a band is weak evidence: templated documents on different subjects share most of their n-grams. So there is no
transitive closure, and a copy is removed only when (nearly) all its word 3-grams occur in one document that is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.components import ROW_BYTES, bundles, components, write_keys
from smolforge.corpus.dedup.copies import Copies, Wording, word_copies
from smolforge.corpus.dedup.near_texts import KEEP_ORDER, TextsArgument, texts_job
from smolforge.corpus.dedup.near_verify import COPIES, GROUPS, LOST, VerifyArgument, verify_job
from smolforge.corpus.dedup.packed import Packed, find_edges, sizes_at, write_packed
from smolforge.corpus.dedup.shuffle import gathered, partitions_for
from smolforge.corpus.dedup.tables import (
    ROW_BITS,
    Pool,
    Waves,
    alive_rows,
    numbered_tasks,
    part_number,
    places_of,
    read_columns,
    shard_tasks,
    whole_task,
)
from smolforge.corpus.engine.task import Task
from smolforge.errors import DataError
from smolforge.store import read_json, write_json

STEP = "near_dedup"
VERSION = "2"
BUNDLE_CHARACTERS = 16 << 20  # of nominated texts that one task compares
_WORDING = Wording(STEP, "text of another document", "{score:.3f} in {partner}")


@dataclass(frozen=True)
class NearCopies:
    """``groups``: partitioned tables, a shard a partition, of related documents that the held-out split must not tear
    apart: place, group (the place of the member with the smallest id), group_id. ``spared``: source -> documents that
    the wipe-out guard left in place; ``notes`` for the person."""

    copies: Copies
    groups: tuple[Path, ...]
    spared: dict[str, int]
    notes: tuple[str, ...] = ()


def find_near_copies(pool: Pool, config: DedupConfig, runner: Waves, indexes: Sequence[Path] = ()) -> NearCopies:
    """Return the documents whose text occurs in another one that is kept, and who is related to whom.

    Waves: ``near-keys``, ``near-buckets``, ``near-components``, ``near-texts``, ``near-verify``, ``near-verdicts``;
    only nominated documents are read. What saved ``indexes`` hold stays before any other. DataError where the wipe-out
    guard stops.
    """
    tasks = shard_tasks(pool, indexes)
    partitions = partitions_for(pool.documents(indexes) * config.bands * ROW_BYTES)
    keyed = runner.wave("near-keys", keys_job, tasks, KeysArgument(len(pool.shards), partitions))
    verified = _verify(tasks, keyed, partitions, pool, config, runner) if keyed else []
    totals: Counter[str] = Counter()
    for path in keyed:
        totals.update(read_json(path / "sources.json"))
    lost: Counter[int] = Counter()
    for path in verified:
        lost.update({int(rank): count for rank, count in read_json(path / LOST).items()})
    spared, notes = _spare(lost, pool.sources, totals, config)
    ranks = tuple(map(pool.sources.index, spared))
    files = [path / COPIES for path in verified]
    copies = word_copies("near", files, (), pool, indexes, runner, _WORDING, ranks)
    groups = gathered(runner, "near-groups", [path / GROUPS for path in verified])
    return NearCopies(copies, tuple(groups), spared, notes)


@dataclass(frozen=True)
class KeysArgument:
    """``shards``: how many are the corpus' own, the others are of a saved index."""

    shards: int
    partitions: int


def keys_job(task: Task, output: Path, argument: KeysArgument) -> None:
    """Job: write a shard's band keys for the shuffle, its sizes, and how many documents of each source are alive."""
    own = part_number(task.name) < argument.shards
    table = read_columns(task.inputs[0].path, ("keys", "characters", *(["source"] if own else [])))
    rows = alive_rows(task, table.num_rows) if own else np.arange(table.num_rows, dtype=np.uint64)
    characters = table["characters"].to_numpy()
    table = table.take(rows)
    keys = table["keys"].combine_chunks()
    lengths = keys.value_lengths().to_numpy(zero_copy_only=False)
    places = np.repeat(places_of(part_number(task.name), rows), lengths)
    write_keys(output, keys.flatten().to_numpy(), places, argument.partitions)
    np.save(output / "sizes.npy", characters)
    write_json(output / "sources.json", dict(sorted(Counter(table["source"].to_pylist()).items())) if own else {})


@dataclass(frozen=True)
class ComponentsArgument:
    """``edges``: files of them; ``sizes``: of each shard and part of an index; ``shards``: how many are the corpus'
    own."""

    edges: tuple[str, ...]
    sizes: tuple[str, ...]
    shards: int


def components_job(task: Task, output: Path, argument: ComponentsArgument) -> None:
    """Job: join documents into components, pack these into bundles. Takes about 115 bytes a nominated document."""
    joined = components(map(Path, argument.edges))
    joined = joined.only(joined.places < np.uint64(argument.shards << ROW_BITS))
    sizes = sizes_at(joined.places, [Path(file) for file in argument.sizes])
    bundle = bundles(joined.labels, sizes, BUNDLE_CHARACTERS)
    write_packed(output, joined.places, joined.labels, bundle, len(argument.sizes))


def _verify(
    tasks: Sequence[Task], keyed: Sequence[Path], partitions: int, pool: Pool, config: DedupConfig, runner: Waves
) -> list[Path]:
    """Pack components into bundles, write their documents' shingles, judge each bundle."""
    edges = find_edges("near", keyed, partitions, runner)
    sizes = tuple(str(path / "sizes.npy") for path in keyed)
    task = whole_task("near-components", len(keyed))
    (folder,) = runner.wave(
        "near-components", components_job, [task], ComponentsArgument(edges, sizes, len(pool.shards))
    )
    packed = Packed.load(folder)
    argument = TextsArgument(len(pool.shards), pool.sources, pool.ahead, config)
    written = runner.wave("near-texts", texts_job, packed.tasks(tasks), argument)
    files = gathered(runner, "near-texts", written, KEEP_ORDER)
    verify = VerifyArgument(tuple(map(str, files)), config)
    return runner.wave("near-verify", verify_job, numbered_tasks(packed.bundles), verify)


def _spare(
    lost: Mapping[int, int], sources: Sequence[str], totals: Mapping[str, int], config: DedupConfig
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the sources to keep (or refuse them) that would lose too much: then the nominations, not the documents,
    are wrong. ``lost``: rank -> documents."""
    spared, notes = {}, []
    for rank, source in enumerate(sources):
        count, total = lost.get(rank, 0), totals[source]
        if count <= max(config.wipe_out_documents, config.wipe_out_share * total):
            continue
        share = f"{count} of {total} documents of source '{source}' (limit {config.wipe_out_share:.0%})"
        if config.on_wipe_out == "stop":
            raise DataError(f"near dedup would remove {share}: look at them, then raise corpus.dedup.wipe_out_share")
        spared[source] = count
        notes.append(f"near dedup would have removed {share}; they stay")
    return spared, tuple(notes)
