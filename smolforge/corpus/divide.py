"""The divide wave: every document of a shard goes to exactly one table, and the counts of the funnel are taken.

Input: a shard's documents, annotations, its verdicts, its finished texts and what the division chose. Output: a folder
with ``kept``, ``held_out`` and ``dropped`` tables (those that have rows), the division's ``verdicts``, ``counts.json``
and ``samples.jsonl``.
"""

from __future__ import annotations

import heapq
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.division import HELD_OUT, OVER
from smolforge.corpus.document import DROP_FIELDS, FIELDS
from smolforge.corpus.engine import Part, Task
from smolforge.corpus.finish import SIZES, TEXTS
from smolforge.corpus.funnel import EDITS
from smolforge.corpus.split import BUDGET_STEP, HELD_OUT_STEP, draw
from smolforge.corpus.verdicts import VERDICTS, read_verdicts, verdict_table, write_verdicts
from smolforge.store import write_atomic, write_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

TABLES = ("kept", "held_out", "dropped")
SAMPLES = 20  # kept of what each reason dropped
_SAMPLE_CHARACTERS = 600
_SCORES = ("difficulty", "quality", "toxicity")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class DivideArgument:
    """``seed``: that of the draws for samples."""

    config: CorpusConfig
    seed: int


def divide_shard(task: Task, output: Path, argument: DivideArgument) -> None:
    """Job: divide one shard. Inputs: documents, annotations, the finished folder, the verdict files, and the shard's
    part of what ``division.choose`` wrote."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    documents, annotations, finished, *verdicts = (Path(part.path) for part in task.inputs[:-1])
    measured = pq.read_table(annotations, columns=["source", "label", "bytes", *_SCORES])
    sizes = pq.read_table(finished / SIZES)
    output.mkdir()
    write_verdicts(output / VERDICTS, _verdicts(task.inputs[-1], measured["label"], argument.config))
    stops = read_verdicts([*verdicts, output / VERDICTS])
    table = _final(pq.read_table(documents, columns=list(FIELDS)), measured, pq.read_table(finished / TEXTS), sizes)
    for name, part in _tables(table, stops):
        if part.num_rows:
            pq.write_table(part, output / f"{name}.parquet", compression="zstd", compression_level=3)
            if name == "dropped":
                _write_samples(output / "samples.jsonl", part, argument.seed)
    write_json(output / "counts.json", {"stops": _counts(measured, stops, sizes), "masked": _masked(measured, sizes)})


def _verdicts(part: Part, labels: pa.ChunkedArray, config: CorpusConfig) -> Iterator[pa.Table]:
    """Yield the verdicts on what is held out and on what is over budget."""
    fates = np.load(part.path, mmap_mode="r")[part.first : part.last]
    held, over = np.flatnonzero(fates == HELD_OUT), np.flatnonzero(fates == OVER)
    yield verdict_table(held, HELD_OUT_STEP, ["held out"] * len(held), ["chosen by hash"] * len(held))
    full = [f"{config.byte_budget(code)} bytes of {code} are full" for code in labels.take(over).to_pylist()]
    yield verdict_table(over, BUDGET_STEP, ["over the language's byte budget"] * len(full), full)


def _final(documents: pa.Table, measured: pa.Table, texts: pa.Table, sizes: pa.Table) -> pa.Table:
    """Return the documents with their final language; ``meta`` gets their scores and, where they stay, what was
    changed in their text."""
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    text, added = documents["text"].to_pylist(), _scores(measured)
    for row, value in zip(texts["row"].to_pylist(), texts["text"].to_pylist(), strict=True):
        text[row] = value
    for row, changes in _changes(sizes.filter(pc.invert(sizes["stopped"]))):
        added[row] |= changes
    meta = [
        json.dumps(json.loads(old) | new, sort_keys=True, ensure_ascii=False) if new else old
        for old, new in zip(documents["meta"].to_pylist(), added, strict=True)
    ]
    columns = {"text": pa.array(text, pa.string()), "meta": pa.array(meta, pa.string()), "language": measured["label"]}
    return pa.table({name: columns.get(name, documents[name]) for name in FIELDS})


def _scores(measured: pa.Table) -> list[dict[str, Any]]:
    """Return the scores of each document by name, those of models where there are any; a curriculum may go by them."""
    found: list[dict[str, Any]] = [{} for _ in range(measured.num_rows)]
    for name in _SCORES:
        for entry, score in zip(found, measured[name].to_pylist(), strict=True):
            if not math.isnan(score):
                entry[name] = round(score, 4)
    return found


def _changes(sizes: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    for row, changes in zip(sizes["row"].to_pylist(), sizes["changes"].to_pylist(), strict=True):
        if changes:
            yield row, json.loads(changes)


def _tables(documents: pa.Table, stops: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield name and rows of each table."""
    rows = stops["row"].to_numpy().astype(np.int64)
    held = stops["step"].to_numpy(zero_copy_only=False) == HELD_OUT_STEP
    kept = np.ones(documents.num_rows, bool)
    kept[rows] = False
    yield "kept", documents.take(np.flatnonzero(kept))
    yield "held_out", documents.take(rows[held])
    dropped = documents.take(rows[~held])
    for name in DROP_FIELDS:
        dropped = dropped.append_column(name, stops[name].filter(~held))
    yield "dropped", dropped


def _counts(before: pa.Table, stops: pa.Table, sizes: pa.Table) -> list[dict[str, Any]]:
    """Return rows for ``Funnel.add``: documents and bytes by source, language, step and reason."""
    import pyarrow as pa

    columns = {name: np.full(before.num_rows, "", object) for name in ("step", "reason")}
    edited = {f"bytes_{step}": np.zeros(before.num_rows, np.int64) for step in EDITS}
    for name, column in columns.items():
        column[stops["row"].to_numpy()] = stops[name].to_numpy(zero_copy_only=False)
    for name, column in edited.items():
        column[sizes["row"].to_numpy()] = sizes[name].to_numpy()
    table = pa.table(
        {"source": before["source"], "language": before["label"], **columns, "bytes": before["bytes"], **edited}
    )
    keys, sums = ["source", "language", "step", "reason"], ["bytes", *edited]
    grouped = table.group_by(keys, use_threads=False).aggregate([([], "count_all"), *((name, "sum") for name in sums)])
    grouped = grouped.rename_columns({"count_all": "documents", **{f"{name}_sum": name for name in sums}})
    found: list[dict[str, Any]] = grouped.select([*keys, "documents", *sums]).to_pylist()
    return sorted(found, key=lambda row: [row[key] for key in keys])


def _masked(before: pa.Table, sizes: pa.Table) -> list[dict[str, Any]]:
    sources, labels = before["source"].to_pylist(), before["label"].to_pylist()
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row, changes in _changes(sizes):
        found[sources[row], labels[row]].update(changes.get("masked", {}))
    return [{"source": key[0], "language": key[1], "counts": dict(sorted(found[key].items()))} for key in sorted(found)]


def _write_samples(path: Path, dropped: pa.Table, seed: int) -> None:
    names = ("step", "reason", "detail", "doc_id", "url", "source", "language")
    rows = dropped.select(names).to_pylist()
    draws = [draw(seed, row["doc_id"], "sample") for row in rows]
    chosen = smallest(zip(draws, rows, range(len(rows)), strict=True))
    texts = dropped["text"]
    lines = [{**row, "draw": value, "text": texts[at].as_py()[:_SAMPLE_CHARACTERS]} for value, row, at in chosen]
    write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())


Sample = tuple[float, Mapping[str, Any], int]  # its draw, its row without text, and where its text is


def smallest(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples with the ``SAMPLES`` smallest draws of each step and reason, sorted by these."""
    by_reason: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        by_reason[sample[1]["step"], sample[1]["reason"]].append(sample)
    order = lambda sample: (sample[0], sample[1]["doc_id"])  # noqa: E731
    return [each for key in sorted(by_reason) for each in heapq.nsmallest(SAMPLES, by_reason[key], key=order)]
