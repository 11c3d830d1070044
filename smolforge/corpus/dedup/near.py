"""Near duplicates: MinHash buckets only nominate; a document goes only if its text occurs in the one that stays.

Input: shards with the band keys of all documents. Output: copies, each with its partner and score, and the groups of
related documents that the held-out split must not tear apart.

Sharing a band is weak evidence: templated documents on different subjects share most of their n-grams. So there is no
transitive closure, and a copy is removed only when (nearly) all its word 3-grams occur in one document that is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.components import ROW_BYTES, Components, bucket_job, bundles, components, write_keys
from smolforge.corpus.dedup.near_texts import TextsArgument, texts_job
from smolforge.corpus.dedup.near_verify import VerifyArgument, verify_job
from smolforge.corpus.dedup.shuffle import partitions_for
from smolforge.corpus.dedup.tables import (
    ROW_BITS,
    ROW_MASK,
    Copies,
    Groups,
    NearCopies,
    Pool,
    Waves,
    alive_rows,
    gather_copies,
    numbered_tasks,
    part_number,
    places_of,
    read_columns,
    row_count,
    save_array,
    shard_tasks,
)
from smolforge.corpus.engine.task import Part, Task
from smolforge.errors import DataError
from smolforge.store import read_json, write_json

STEP = "near_dedup"
BUNDLE_CHARACTERS = 16 << 20  # of nominated texts that one task compares


def find_near_copies(pool: Pool, config: DedupConfig, runner: Waves, indexes: Sequence[Path] = ()) -> NearCopies:
    """Return the documents whose text occurs in another one that is kept, and who is related to whom.

    Waves: ``near-keys``, ``near-buckets``, ``near-texts``, ``near-verify``; only nominated documents are read. What
    saved ``indexes`` hold stays before any other. DataError where the wipe-out guard stops.
    """
    tasks = shard_tasks(pool, indexes)
    partitions = partitions_for(sum(map(_rows, tasks)) * config.bands * ROW_BYTES)
    argument = KeysArgument(len(pool.shards), partitions)
    keyed = runner.wave("near-keys", keys_job, tasks, argument)
    if not keyed:
        return NearCopies(gather_copies([]), _groups([]), {})
    buckets = (str(keyed[0].parent), len(keyed))
    edges = runner.wave("near-buckets", bucket_job, numbered_tasks(partitions), buckets)
    joined = components(chain((path / "edges.npy" for path in keyed), edges))
    joined = joined.only(joined.places < np.uint64(len(pool.shards) << ROW_BITS))
    verified = _verify(tasks, joined, pool, config, runner) if len(joined.places) else []
    copies = gather_copies([path / "copies.arrow" for path in verified])
    totals: Counter[str] = Counter()
    for path in keyed:
        totals.update(read_json(path / "sources.json"))
    copies, spared, notes = _spare(copies, pool.sources, totals, config)
    return NearCopies(copies, _groups([path / "groups.npy" for path in verified]), spared, notes)


def _rows(task: Task) -> int:
    return row_count(task.inputs[0].path)


@dataclass(frozen=True)
class KeysArgument:
    """``shards``: how many are the corpus' own, the others are of a saved index."""

    shards: int
    partitions: int


def keys_job(task: Task, output: Path, argument: KeysArgument) -> None:
    """Job: write a shard's band keys for the shuffle, and how many documents of each source are alive."""
    own = part_number(task.name) < argument.shards
    table = read_columns(task.inputs[0].path, ("keys", "source") if own else ("keys",))
    rows = alive_rows(task, table.num_rows) if own else np.arange(table.num_rows, dtype=np.uint64)
    table = table.take(rows)
    keys = table["keys"].combine_chunks()
    lengths = keys.value_lengths().to_numpy(zero_copy_only=False)
    places = np.repeat(places_of(part_number(task.name), rows), lengths)
    write_keys(output, keys.flatten().to_numpy(), places, argument.partitions)
    write_json(output / "sources.json", dict(sorted(Counter(table["source"].to_pylist()).items())) if own else {})


def _verify(tasks: Sequence[Task], joined: Components, pool: Pool, config: DedupConfig, runner: Waves) -> list[Path]:
    """Pack the components into bundles, write their documents' shingles, judge each bundle."""
    sizes = np.zeros(len(joined.places), np.int64)
    slices = []
    for number, task in enumerate(tasks):
        first, last = np.searchsorted(joined.places, np.array([number, number + 1], np.uint64) << np.uint64(ROW_BITS))
        if first < last:
            slices.append((task, int(first), int(last)))
            rows = (joined.places[first:last] & np.uint64(ROW_MASK)).astype(np.int64)
            sizes[first:last] = read_columns(task.inputs[0].path, ("characters",))["characters"].to_numpy()[rows]
    bundle = bundles(joined.labels, sizes, BUNDLE_CHARACTERS)
    table = np.stack([joined.places, joined.labels.astype(np.uint64), bundle.astype(np.uint64)], axis=1)
    nominated = save_array(runner.folder / "near-nominated.npy", table)
    chosen = [replace(task, inputs=(*task.inputs, Part(nominated, first, last))) for task, first, last in slices]
    argument = TextsArgument(len(pool.shards), pool.sources, pool.ahead, config)
    written = runner.wave("near-texts", texts_job, chosen, argument)
    verify = VerifyArgument(str(written[0].parent), tuple(path.name for path in written), config)
    return runner.wave("near-verify", verify_job, numbered_tasks(int(bundle.max()) + 1), verify)


def _groups(files: Iterable[Path]) -> Groups:
    pairs = np.concatenate([np.empty((0, 2), np.uint64), *(np.load(file) for file in files)])
    pairs = pairs[np.argsort(pairs[:, 0])]
    return Groups(pairs[:, 0].copy(), pairs[:, 1].copy())


def _spare(
    copies: Copies, sources: Sequence[str], totals: Mapping[str, int], config: DedupConfig
) -> tuple[Copies, dict[str, int], tuple[str, ...]]:
    """Keep (or refuse) a source that would lose too much: then the nominations, not the documents, are wrong."""
    lost = np.bincount(copies.table["source"].to_numpy(), minlength=len(sources))
    spared, notes = {}, []
    for rank, source in enumerate(sources):
        count, total = int(lost[rank]), totals[source]
        if count <= max(config.wipe_out_documents, config.wipe_out_share * total):
            continue
        share = f"{count} of {total} documents of source '{source}' (limit {config.wipe_out_share:.0%})"
        if config.on_wipe_out == "stop":
            raise DataError(f"near dedup would remove {share}: look at them, then raise corpus.dedup.wipe_out_share")
        spared[source] = count
        notes.append(f"near dedup would have removed {share}; they stay")
    gone = np.isin(copies.table["source"].to_numpy(), [sources.index(source) for source in spared])
    return Copies(copies.table.filter(~gone)), spared, tuple(notes)
