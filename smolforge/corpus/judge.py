"""The judge waves: language, rules, toxicity and quality of a shard, from columns alone.

Input: a shard's annotations and its verdicts so far. Output: verdicts of the documents that one of these steps stops;
each document is judged by a step only if the steps before let it pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup.tables import read_columns
from smolforge.corpus.engine import Task
from smolforge.corpus.rules import fineweb
from smolforge.corpus.rules import limits as rules
from smolforge.corpus.scoring import floor as quality_floor
from smolforge.corpus.scoring import toxicity
from smolforge.corpus.scoring.config import QualityConfig
from smolforge.corpus.text import language
from smolforge.corpus.text.features import FEATURES
from smolforge.corpus.verdicts import alive, verdict_table, write_verdicts
from smolforge.store import write_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

_LANGUAGE = ("label", "confidence", "script_share", "declared")
_TOXICITY = ("toxic_terms", "toxic_count", "toxicity", "toxic_passage")
_COLUMNS = ("profile", "url", *_LANGUAGE, *_TOXICITY, *FEATURES)
QUALITY = ("doc_id", "label", "quality")
_PASSAGE = 200  # characters of evidence
Rows = NDArray[np.int64]
Judged = tuple[Rows, Sequence[str], Sequence[str]]  # rows, reasons, details


def columns_in(annotations: Path) -> tuple[str, ...]:
    """Return the columns to judge by; FineWeb's measures are there where a source asked for them."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    there = set(pq.read_schema(annotations).names)
    return (*_COLUMNS, *(name for name in fineweb.COLUMNS.values() if name in there))


def judge_shard(task: Task, output: Path, config: CorpusConfig) -> None:
    """Job: judge one shard. Inputs: its annotations, then its verdict files of the steps before."""
    table, passes = _opened(task, columns_in(Path(task.inputs[0].path)))
    write_verdicts(output, judge(table, passes, config))


def judge(table: pa.Table, passes: NDArray[np.bool_], config: CorpusConfig) -> Iterator[pa.Table]:
    """Yield the verdicts of each step on the rows that pass so far; ``passes`` is updated."""
    steps = ((language.STEP, _by_language), (rules.STEP, _by_rules), (toxicity.STEP, _by_toxicity))
    for step, judge_rows in steps:
        rows, reasons, details = judge_rows(table, np.flatnonzero(passes), config)
        yield verdict_table(rows, step, reasons, details)
        passes[rows] = False


def _by_language(table: pa.Table, rows: Rows, config: CorpusConfig) -> Judged:
    judged = []
    for label, confidence, share, declared in zip(*(_column(table, name, rows) for name in _LANGUAGE), strict=True):
        detection = language.Detection(label, float(confidence), float(share))
        judged.append(language.judge(detection, declared, config.languages, config.language))
    return _stopped(rows, [v.reason if v else "" for v in judged], [v.detail if v else "" for v in judged])


def _by_rules(table: pa.Table, rows: Rows, config: CorpusConfig) -> Judged:
    measured = [name for name in (*FEATURES, *fineweb.COLUMNS.values()) if name in table.column_names]
    columns = {name: _column(table, name, rows) for name in measured}
    profiles, labels, urls = (_column(table, name, rows).tolist() for name in ("profile", "label", "url"))
    return _stopped(rows, *rules.judge_table(columns, profiles, labels, urls, config.rules))


def _by_toxicity(table: pa.Table, rows: Rows, config: CorpusConfig) -> Judged:
    if config.toxicity is None:
        return rows[:0], (), ()
    terms, count, probability, passages = (_column(table, name, rows) for name in _TOXICITY)
    found = toxicity.Toxicity(terms, count.astype(np.int64), probability, tuple(passages))
    toxic = np.flatnonzero(toxicity.judge(found, config.toxicity))
    details = [f"{probability[i]:.4f}, {count[i]:.0f} listed terms: {passages[i][:_PASSAGE]!r}" for i in toxic]
    return rows[toxic], ["abuse by list and model"] * len(toxic), details


@dataclass(frozen=True)
class QualityArgument:
    """``floors``: the least score of each language; ``seed`` is that of the draws."""

    config: QualityConfig
    floors: tuple[tuple[str, float], ...]
    seed: int


def scores_shard(task: Task, output: Path, _: None) -> None:
    """Job: write labels and scores of one shard's documents that pass so far. Inputs as of ``quality_shard``."""
    import pyarrow.parquet as pq

    table, passes = _opened(task, ("label", "quality"))
    pq.write_table(table.filter(passes), output, compression="zstd", compression_level=3)


def floors_job(task: Task, output: Path, argument: tuple[tuple[str, ...], QualityConfig]) -> None:
    """Job: write each language's floor; argument: files of ``scores_shard``."""
    files, config = argument
    tables = (read_columns(file, ("label", "quality")) for file in files)
    write_json(output, dict(quality_floors(((table, np.ones(table.num_rows, bool)) for table in tables), config)))


def quality_shard(task: Task, output: Path, argument: QualityArgument) -> None:
    """Job: judge the quality of one shard. Inputs: its annotations, then its verdict files of the steps before."""
    table, passes = _opened(task, QUALITY)
    write_verdicts(output, judge_quality(table, passes, argument))


def judge_quality(table: pa.Table, passes: NDArray[np.bool_], argument: QualityArgument) -> Iterator[pa.Table]:
    """Yield the verdicts on the rows that pass so far, a table for each language."""
    return (_poor(table, code, passes, argument) for code in table["label"].unique().to_pylist())


def _poor(table: pa.Table, code: str, passes: NDArray[np.bool_], argument: QualityArgument) -> pa.Table:
    rows = np.flatnonzero(passes & (table["label"].to_numpy() == code))
    scores, doc_ids = _column(table, "quality", rows), _column(table, "doc_id", rows).tolist()
    floor = dict(argument.floors).get(code, argument.config.floor or 0.0)
    config = argument.config.model_copy(update={"floor": floor, "top": None})
    stays, _ = quality_floor.judge(scores, [code] * len(rows), doc_ids, config, argument.seed)
    details = [f"{score:.4f} < {floor:.4f}" for score in scores[~stays]]
    return verdict_table(rows[~stays], quality_floor.STEP, ["quality too low"] * len(details), details)


def quality_floors(
    shards: Iterable[tuple[pa.Table, NDArray[np.bool_]]], config: QualityConfig
) -> tuple[tuple[str, float], ...]:
    """Return each language's floor where the configuration keeps its best share: holds the scores of all documents
    that pass so far, 4 bytes each. ``shards``: labels and scores, and which rows pass."""
    if config.top is None:
        return ()
    scores: dict[str, list[NDArray[np.float32]]] = {}
    for table, passes in shards:
        labels, found = table["label"].to_numpy(), table["quality"].to_numpy()
        for code in table["label"].unique().to_pylist():
            scores.setdefault(code, []).append(found[passes & (labels == code)])
    floors: Mapping[str, float] = {}
    for code in sorted(scores):
        own = np.concatenate(scores.pop(code))
        floors = {**floors, **quality_floor.floors(own, [code] * len(own), config.top)}
    return tuple(floors.items())


def _opened(task: Task, columns: Sequence[str]) -> tuple[pa.Table, NDArray[np.bool_]]:
    import pyarrow.parquet as pq

    annotations, *verdicts = (Path(part.path) for part in task.inputs)
    table = pq.read_table(annotations, columns=list(columns))
    return table, alive(verdicts, table.num_rows)


def _column(table: pa.Table, name: str, rows: Rows) -> NDArray[Any]:
    return np.asarray(table[name].to_numpy()[rows])


def _stopped(rows: Rows, reasons: Sequence[str], details: Sequence[str]) -> Judged:
    stopped = [position for position, reason in enumerate(reasons) if reason]
    return rows[stopped], [reasons[i] for i in stopped], [details[i] for i in stopped]
