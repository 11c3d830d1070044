"""The corpus stage: from sources to documented tables, in waves over columns (``build``).

Input: the sources of the recipe. Output below ``context.work``: ``kept/``, ``held_out/`` and ``dropped/`` document
tables, ``annotations/``, ``verdicts/`` and ``changes/`` (what ``history`` reads), ``funnel.json``, ``sources.json``,
``samples.jsonl``, ``aligned.jsonl``, and where asked for ``contamination.json`` and ``index/``. Every ingested document
is in exactly one table.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from smolforge.corpus.build import Build
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.contamination.index import ContaminationIndex
from smolforge.corpus.contamination.report import as_json, benchmark_rows
from smolforge.corpus.engine import Runner, Task
from smolforge.corpus.finish import MATCHES, SIZES
from smolforge.corpus.funnel import Funnel
from smolforge.corpus.ingest import aligned
from smolforge.corpus.publish import publish
from smolforge.corpus.split import BUDGET_STEP, HELD_OUT_STEP
from smolforge.errors import MissingDependencyError
from smolforge.store import StageContext, StageOutcome, read_json, write_atomic, write_json

SCRATCH = "scratch"
# Steps, and the sections of the configuration that switch them on.
_OPTIONAL = ("quality", "toxicity", "line_dedup", "substring_dedup", "line_rules", "decontaminate")


def run(config: CorpusConfig, context: StageContext) -> StageOutcome:
    """Build the corpus. DataError for a source that cannot be used at all; single bad files only end up in
    ``sources.json``. The same sources give the same bytes for any number of workers, on one machine or many, and
    whatever was interrupted: finished outputs of an earlier try are used again."""
    _require_packages()
    with Runner(context.work / SCRATCH, config, context.progress) as runner:
        build = Build(config, context, runner)
        build.read()
        build.judge()
        exact = build.exact_dedup()
        build.judge_quality()
        near = build.near_dedup()
        build.finish(exact, near.copies)
        build.divide(near.groups)
        return _tables(build)


def _require_packages() -> None:
    for package in ("pyarrow", "py3langid", "phonenumbers"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "data", "the corpus stage")


def aligned_task(task: Task, output: Path, config: CorpusConfig) -> None:
    """Job: write the parallel sentences of all catalogues."""
    rows = aligned(config)
    write_atomic(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def _tables(build: Build) -> StageOutcome:
    """Write the three tables and the reports."""
    work, config = build.context.work, build.config
    sentences = b""
    if any(spec.kind == "gettext" for spec in config.sources):
        (file,) = build.runner.wave("aligned", aligned_task, [Task("aligned.jsonl", (), 0)], config)
        sentences = file.read_bytes()
    write_atomic(work / "aligned.jsonl", sentences)
    if build.benchmarks is not None:
        _write_contamination(work / "contamination.json", build.benchmarks, build.finished)
    funnel = Funnel(step for step in _OPTIONAL if getattr(config, step) is not None)
    for folder in build.divided:
        counts = read_json(folder / "counts.json")
        funnel.add(counts["stops"], counts["masked"])
    publish(work, build.shards, build.verdicts, build.finished, build.divided)
    write_json(work / "funnel.json", funnel.rows())
    write_json(work / "sources.json", build.ledger.as_json())
    return _outcome(funnel, sentences.count(b"\n"), build.copies_of_dropped)


def _write_contamination(path: Path, index: Path, finished: Sequence[Path]) -> None:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    def hits() -> Iterator[tuple[str, str, str]]:
        for folder in finished:
            yield from (tuple(match) for match in read_json(folder / MATCHES))

    searched = sum(pq.read_metadata(folder / SIZES).num_rows for folder in finished)
    write_json(path, as_json(benchmark_rows(ContaminationIndex.load(index), hits(), searched)))


def _outcome(funnel: Funnel, aligned: int, copies_of_dropped: int) -> StageOutcome:
    reasons: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    held: Counter[str] = Counter()
    documents = dict.fromkeys(("kept", "held_out", "dropped"), 0)
    for row in funnel.rows():
        if row["step"] == HELD_OUT_STEP and row["reason"]:
            held[row["language"]] += row["bytes_in"]
            documents["held_out"] += row["documents_in"]
        elif row["reason"]:
            reasons[f"{row['step']}: {row['reason']}"] += row["documents_in"]
            documents["dropped"] += row["documents_in"]
        elif row["step"] == BUDGET_STEP:
            kept[row["language"]] += row["bytes_out"]
            documents["kept"] += row["documents_out"]
    metrics = {f"kept_bytes_{language}": float(size) for language, size in sorted(kept.items())}
    metrics |= {f"held_out_bytes_{language}": float(size) for language, size in sorted(held.items())}
    return StageOutcome(
        counts={
            "documents": documents,
            "dropped": dict(sorted(reasons.items())),
            "copies_of_dropped": copies_of_dropped,
            "aligned_sentences": aligned,
        },
        metrics=metrics | {"aligned_sentences": float(aligned)},
        resume_only=(SCRATCH,),
    )
