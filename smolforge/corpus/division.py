"""The division of what survived: which documents are held out, and which are over their language's byte budget.

Input: the ``sizes`` tables of the finish wave, labels, and tables of related documents. Output: a byte for each
document, `PASSES`, `HELD_OUT` or `OVER`; the divide wave makes verdicts of it. Rows go through a shuffle by their
draws, so that one task can take them in that order, a partition at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup.shuffle import gathered, partitions_for, read_partition, write_partitions
from smolforge.corpus.dedup.tables import ROW_BITS, ROW_MASK, Waves, part_number, places_of, whole_task
from smolforge.corpus.engine import Task
from smolforge.corpus.finish import SIZES
from smolforge.corpus.shards import Shards
from smolforge.corpus.split import Budgets, Drawn, HeldOut, draw
from smolforge.store import read_json, write_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

PASSES, HELD_OUT, OVER = 0, 1, 2
U64 = NDArray[np.uint64]
_ROW_BYTES = 48  # of a row in the shuffle
_HELD, _BUDGET, _TOTALS = "held_out.arrow", "budget.arrow", "totals.json"


@dataclass(frozen=True)
class RowsArgument:
    """``groups``: partitioned tables of related documents, by shard."""

    groups: tuple[str, ...]
    partitions: int
    config: CorpusConfig
    seed: int


@dataclass(frozen=True)
class ChooseArgument:
    """``held_out`` and ``budget``: partitioned tables of `rows_job`, by draw, and its ``totals``; ``starts``: how many
    documents come before each shard, and how many there are."""

    held_out: tuple[str, ...]
    budget: tuple[str, ...]
    totals: tuple[str, ...]
    partitions: int
    starts: tuple[int, ...]
    config: CorpusConfig


def choose(
    tasks: Sequence[Task], shards: Shards, groups: Sequence[Path], config: CorpusConfig, seed: int, runner: Waves
) -> Path:
    """Return a ``.npy`` file, uint8 (documents,): what becomes of each, by place.

    ``tasks``: one a shard, with annotations and the finished folder as inputs. Waves: ``division-rows``,
    ``division``."""
    partitions = partitions_for(shards.documents * _ROW_BYTES)
    rows = runner.wave("division-rows", rows_job, tasks, RowsArgument(_names(groups), partitions, config, seed))
    argument = ChooseArgument(
        _names(gathered(runner, "division-held-out", [path / _HELD for path in rows])),
        _names(gathered(runner, "division-budget", [path / _BUDGET for path in rows])),
        _names([path / _TOTALS for path in rows]),
        partitions,
        tuple(starts(shards)),
        config,
    )
    (file,) = runner.wave("division", choose_job, [whole_task("fates.npy", len(shards))], argument)
    return file


def starts(shards: Shards) -> Iterator[int]:
    """Yield how many documents come before each shard, then how many there are."""
    return accumulate((shard.rows for shard in shards), initial=0)


def _names(files: Sequence[Path]) -> tuple[str, ...]:
    return tuple(map(str, files))


def rows_job(task: Task, output: Path, argument: RowsArgument) -> None:
    """Job: write what a shard's survivors are chosen by, and the bytes of each language."""
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    annotations, finished = (Path(part.path) for part in task.inputs[:2])
    sizes = pq.read_table(finished / SIZES, columns=["row", "bytes_pii", "draw_held_out", "draw_budget", "stopped"])
    sizes = sizes.filter(pc.invert(sizes["stopped"]))
    places = places_of(part_number(task.name), sizes["row"].to_numpy().astype(np.uint64))
    language = pq.read_table(annotations, columns=["label"])["label"].take(sizes["row"])
    draws, groups = _with_groups(places, sizes["draw_held_out"].to_numpy(), argument, part_number(task.name))
    table = pa.table({"place": places, "language": language, "size": sizes["bytes_pii"]})
    output.mkdir()
    _write(output / _HELD, table, draws, groups, argument)
    has_budget = {code: argument.config.byte_budget(code) is not None for code in set(language.to_pylist())}
    chosen = np.array([has_budget[code] for code in language.to_pylist()], bool)
    _write(output / _BUDGET, table.filter(chosen), sizes["draw_budget"].to_numpy()[chosen], places[chosen], argument)
    totals: Counter[str] = Counter()
    for code, size in zip(language.to_pylist(), sizes["bytes_pii"].to_pylist(), strict=True):
        totals[code] += size
    write_json(output / _TOTALS, dict(sorted(totals.items())))


def _write(path: Path, table: pa.Table, draws: NDArray[np.float64], groups: U64, argument: RowsArgument) -> None:
    partitions = (draws * argument.partitions).astype(np.int64)
    write_partitions(path, table.append_column("draw", [draws]).append_column("group", [groups]), partitions)


def _with_groups(
    places: U64, draws: NDArray[np.float64], argument: RowsArgument, shard: int
) -> tuple[NDArray[np.float64], U64]:
    """Return draws and groups of a shard's survivors: a group's draw is that of its smallest id, wherever that one
    ended."""
    draws, groups = draws.copy(), places.copy()
    if argument.groups:
        table = read_partition(list(map(Path, argument.groups)), shard)
        at = {place: row for row, place in enumerate(table["place"].to_pylist())}
        inside = [number for number, place in enumerate(places.tolist()) if place in at]
        own = table.take([at[place] for place in places[inside].tolist()]) if inside else table.slice(0, 0)
        groups[inside] = own["group"].to_numpy()
        draws[inside] = [draw(argument.seed, name, "held_out") for name in own["group_id"].to_pylist()]
    return draws, groups


def choose_job(task: Task, output: Path, argument: ChooseArgument) -> None:
    """Job: choose. Holds a byte a document and one partition of rows."""
    totals: Counter[str] = Counter()
    for file in argument.totals:
        totals.update(read_json(Path(file)))
    codes = sorted(totals)
    fates = np.zeros(argument.starts[-1], np.uint8)
    held_out = HeldOut(np.array([totals[code] for code in codes], np.float64), argument.config)
    for documents in _pieces(argument.held_out, codes, argument):
        if held_out.done:
            break
        fates[_numbers(documents.places[held_out.take(documents)], argument)] = HELD_OUT
    budgets = Budgets(np.array([argument.config.byte_budget(code) or 0 for code in codes], np.int64))
    for documents in _pieces(argument.budget, codes, argument):
        candidates = _only(documents, fates[_numbers(documents.places, argument)] == PASSES)
        fates[_numbers(candidates.places[budgets.take(candidates)], argument)] = OVER
    with output.open("wb") as stream:
        np.save(stream, fates)


def _pieces(files: Sequence[str], codes: Sequence[str], argument: ChooseArgument) -> Iterator[Drawn]:
    """Yield documents by their draws, a partition at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for partition in range(argument.partitions if files else 0):
        table = read_partition(list(map(Path, files)), partition)
        languages = pc.index_in(table["language"], pa.array(codes, pa.string())).to_numpy().astype(np.int64)
        places, sizes, draws, groups = (table[name].to_numpy() for name in ("place", "size", "draw", "group"))
        yield Drawn(places, languages, sizes, draws, groups)


def _numbers(places: U64, argument: ChooseArgument) -> NDArray[Any]:
    """Return the numbers of documents among all."""
    before = np.array(argument.starts)[(places >> np.uint64(ROW_BITS)).astype(np.int64)]
    return np.asarray(before + (places & np.uint64(ROW_MASK)).astype(np.int64))


def _only(documents: Drawn, chosen: NDArray[np.bool_]) -> Drawn:
    return Drawn(
        documents.places[chosen],
        documents.languages[chosen],
        documents.sizes[chosen],
        documents.draws[chosen],
        documents.groups[chosen],
    )
