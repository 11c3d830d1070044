"""The judge wave: language, rules and quality of a shard, from columns alone.

Input: a shard's annotations and its verdicts so far. Output: verdicts of the documents that one of these steps stops;
each document is judged by a step only if the steps before let it pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus import language, rules
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.engine import Task
from smolforge.corpus.features import FEATURES
from smolforge.corpus.verdicts import alive, verdict_table, write_verdicts

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

QUALITY_STEP = "quality"
_COLUMNS = ("profile", "declared", "label", "confidence", "script_share", "quality", *FEATURES)
Judged = tuple[NDArray[np.int64], Sequence[str], Sequence[str]]  # rows, reasons, details


def judge_shard(task: Task, output: Path, config: CorpusConfig) -> None:
    """Job: judge one shard. Inputs: its annotations, then its verdict files of the steps before."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    annotations, *verdicts = (Path(part.path) for part in task.inputs)
    table = pq.read_table(annotations, columns=list(_COLUMNS))
    passes = alive(verdicts, table.num_rows)
    write_verdicts(output, judge(table, passes, config))


def judge(table: pa.Table, passes: NDArray[np.bool_], config: CorpusConfig) -> Iterator[pa.Table]:
    """Yield the verdicts of each step on the rows that pass so far; ``passes`` is updated."""
    for step, judge_rows in (
        (language.STEP, _by_language),
        (rules.STEP, _by_rules),
        (QUALITY_STEP, _by_quality),
    ):
        for rows, reasons, details in judge_rows(table, np.flatnonzero(passes), config):
            yield verdict_table(rows, step, reasons, details)
            passes[rows] = False


def _by_language(table: pa.Table, rows: NDArray[np.int64], config: CorpusConfig) -> Iterator[Judged]:
    names = ("label", "confidence", "script_share", "declared")
    judged = []
    for label, confidence, share, declared in zip(*(table[name].to_numpy()[rows] for name in names), strict=True):
        detection = language.Detection(label, round(float(confidence), 4), round(float(share), 4))
        judged.append(language.judge(detection, declared, config.languages, config.language))
    yield _stopped(rows, [v.reason if v else "" for v in judged], [v.detail if v else "" for v in judged])


def _by_rules(table: pa.Table, rows: NDArray[np.int64], config: CorpusConfig) -> Iterator[Judged]:
    """Documents of one profile and language have the same limits."""
    kinds = np.char.add(np.char.add(_strings(table, "profile", rows), "/"), _strings(table, "label", rows))
    for kind in np.unique(kinds):
        chosen = rows[kinds == kind]
        profile, _, label = str(kind).partition("/")
        limits = rules.load_profile(profile, config.rules).limits(label)
        columns = {name: table[name].to_numpy()[chosen] for name in FEATURES}
        yield _stopped(chosen, *rules.judge_columns(columns, limits))


def _by_quality(table: pa.Table, rows: NDArray[np.int64], config: CorpusConfig) -> Iterator[Judged]:
    if config.quality is None:
        return
    floor = np.float32(config.quality.floor)
    values = table["quality"].to_numpy()[rows]
    poor = values < floor
    details = [f"{value:.4f} < {config.quality.floor:g}" for value in values[poor]]
    yield rows[poor], ["quality too low"] * len(details), details


def _strings(table: pa.Table, name: str, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.asarray(table[name].to_numpy()[rows], np.str_)


def _stopped(rows: NDArray[np.int64], reasons: Sequence[str], details: Sequence[str]) -> Judged:
    stopped = [position for position, reason in enumerate(reasons) if reason]
    return rows[stopped], [reasons[i] for i in stopped], [details[i] for i in stopped]
