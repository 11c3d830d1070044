"""The division of what survived, decided from arrays of the size of the corpus: the largest thing the driver holds.

Input: the ``sizes`` tables of the finish wave, labels, and the groups of related documents. Output: a verdict file a
shard: held out, or over its language's budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup.tables import Groups, places_of
from smolforge.corpus.finish import SIZES
from smolforge.corpus.shards import Shard, Shards
from smolforge.corpus.split import BUDGET_STEP, HELD_OUT_STEP, Related, Survivors, choose_held_out, draw, over_budget
from smolforge.corpus.verdicts import verdict_table, write_verdicts


def divide(
    shards: Shards, finished: Sequence[Path], groups: Groups, config: CorpusConfig, seed: int, folder: Path
) -> list[Path]:
    """Decide what is held out and what is over budget; write and return a verdict file for each shard.

    ``finished`` are the folders of the finish wave."""
    starts, documents = _survivors(shards, finished)
    related = _related(shards, finished, starts, groups, seed)
    held_out = choose_held_out(documents, _column(finished, "draw_held_out"), related, config)
    over = over_budget(documents, _column(finished, "draw_budget"), ~held_out, config)
    paths = []
    for shard, sizes, first in zip(shards, finished, starts, strict=False):
        rows = _read(sizes, "row")
        own = slice(first, first + len(rows))
        paths.append(folder / f"{shard.name}.parquet")
        full = [f"{config.byte_budget(documents.codes[i])} bytes of {documents.codes[i]} are full"
                for i in documents.languages[own][over[own]]]  # fmt: skip
        tables = [
            verdict_table(rows[held_out[own]], HELD_OUT_STEP, *_same("held out", "chosen by hash", held_out[own])),
            verdict_table(rows[over[own]], BUDGET_STEP, ["over the language's byte budget"] * len(full), full),
        ]
        write_verdicts(paths[-1], tables)
    return paths


def _same(reason: str, detail: str, chosen: NDArray[np.bool_]) -> tuple[list[str], list[str]]:
    count = int(np.count_nonzero(chosen))
    return [reason] * count, [detail] * count


def _survivors(shards: Shards, finished: Sequence[Path]) -> tuple[NDArray[np.int64], Survivors]:
    """Return where each shard's survivors begin, and their languages and sizes."""
    codes: dict[str, int] = {}
    languages, sizes, starts = [], [], [0]
    for shard, folder in zip(shards, finished, strict=True):
        labels = _labels(shard)[_read(folder, "row")]
        languages.append(np.array([codes.setdefault(label, len(codes)) for label in labels], np.int16))
        sizes.append(_read(folder, "bytes_pii"))
        starts.append(starts[-1] + len(labels))
    whole = Survivors(tuple(codes), np.concatenate(languages), np.concatenate(sizes)) if sizes else _NOTHING
    return np.array(starts), whole


_NOTHING = Survivors((), np.empty(0, np.int16), np.empty(0, np.int64))


def _related(shards: Shards, finished: Sequence[Path], starts: NDArray[np.int64], groups: Groups, seed: int) -> Related:
    """Return the groups among the survivors; a group's draw is that of its smallest id, wherever that one ended."""
    found = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for shard, folder, first in zip(shards, finished, starts, strict=False):
        places = places_of(shard.number, _read(folder, "row").astype(np.uint64))
        at = np.minimum(np.searchsorted(groups.places, places), max(0, len(groups.places) - 1))
        inside = groups.places[at] == places if len(groups.places) else np.zeros(len(places), bool)
        found[0].append(first + np.flatnonzero(inside))
        found[1].append(groups.groups[at[inside]] if len(groups.places) else np.empty(0, np.uint64))
    members, names = np.concatenate(found[0]), np.concatenate(found[1])
    distinct, which = np.unique(names, return_inverse=True)
    draws = np.array([draw(seed, doc_id, "held_out") for doc_id in shards.doc_ids(distinct)])
    return Related(members, names, draws[which] if len(draws) else np.empty(0))


def _labels(shard: Shard) -> NDArray[np.object_]:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    return np.asarray(pq.read_table(shard.annotations, columns=["label"])["label"].to_numpy(), object)


def _column(finished: Sequence[Path], name: str) -> NDArray[np.float64]:
    return np.concatenate([_read(folder, name) for folder in finished])


def _read(folder: Path, name: str) -> NDArray[np.generic]:
    """Return a column of what stays after the finish wave."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / SIZES, columns=[name, "stopped"])
    return np.asarray(table[name].to_numpy()[~table["stopped"].to_numpy()])
