"""The corpus stage: ingest, exact dedup, language, rules, near dedup, PII masking, held-out split, byte budget.

Input: the sources of the recipe. Output below ``context.work``: ``kept/``, ``held_out/`` and ``dropped/`` document
tables, ``funnel.json``, ``sources.json``, ``aligned.jsonl``. Every ingested document is in exactly one table.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from smolforge.corpus.annotate import Annotation, annotate_shard, read_annotations
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.decide import decide
from smolforge.corpus.document import (
    DROP_FIELDS,
    FIELDS,
    Document,
    ShardWriter,
    Verdict,
    document_row,
    read_documents,
    read_rows,
    write_documents,
    write_table,
)
from smolforge.corpus.funnel import Funnel
from smolforge.corpus.ingest import Ingestion
from smolforge.corpus.jobs import map_shards
from smolforge.corpus.pii import mask
from smolforge.corpus.split import BUDGET_STEP, Sized, choose_held_out, over_budget
from smolforge.errors import DataError, MissingDependencyError
from smolforge.store import StageContext, StageOutcome, write_atomic, write_json

VERSION = "1"
_SCRATCH = "scratch"
_VERDICTS = ("doc_id", "language", *DROP_FIELDS)
_NOTES_SHOWN = 5


def run(config: CorpusConfig, context: StageContext) -> StageOutcome:
    """Build the corpus. DataError for a source that cannot be used at all; single bad files only end up in
    ``sources.json``. The same sources give the same bytes for any worker count."""
    _require_packages()
    work, progress = context.work, context.progress
    if work.exists():
        shutil.rmtree(work)
    scratch = work / _SCRATCH
    ingestion = Ingestion(config)
    shards = write_documents(scratch / "ingest", ingestion.documents(), config.shard_bytes)
    records = list(ingestion.ledger.records.values())
    for record in records:
        for problem in record.problems[:_NOTES_SHOWN]:
            progress.note(f"{record.name}: {problem.path}: {problem.position}: {problem.message}")
    annotated = map_shards(annotate_shard, shards, scratch / "annotated", config, config.workers, progress)
    annotations = [each for shard in annotated for each in read_annotations(shard)]
    _check_ids(annotations)

    funnel = Funnel()
    ranks = {record.name: rank for rank, record in enumerate(records)}
    decisions = decide(annotations, shards, ranks, config, funnel)
    for note in decisions.notes:
        progress.note(note)
    _write_verdicts(annotated, decisions.verdicts, scratch / "verdicts")
    job = MaskJob(config, scratch / "verdicts")
    masked = map_shards(mask_shard, shards, scratch / "masked", job, config.workers, progress)
    counts = _divide(masked, {a.doc_id: a.bytes for a in annotations}, decisions.groups, config, context, funnel)

    write_json(work / "funnel.json", funnel.rows())
    write_json(work / "sources.json", [record.as_json() for record in records])
    aligned = ingestion.aligned()
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in aligned)
    write_atomic(work / "aligned.jsonl", text.encode())
    shutil.rmtree(scratch)
    return _outcome(funnel, counts, len(aligned))


def _require_packages() -> None:
    for package in ("pyarrow", "py3langid", "phonenumbers"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "data", "the corpus stage")


def _check_ids(annotations: Iterable[Annotation]) -> None:
    doubled = [doc_id for doc_id, count in Counter(a.doc_id for a in annotations).items() if count > 1]
    assert not doubled, f"two documents share the id {doubled[0]}"


def _write_verdicts(annotated: Sequence[Path], verdicts: dict[str, Verdict], folder: Path) -> None:
    """Write one table of (doc_id, language, step, reason, detail) a shard, under the shard's name."""
    for shard in annotated:
        rows = []
        for each in read_annotations(shard):
            verdict = verdicts.get(each.doc_id, Verdict("", "", ""))
            rows.append({"doc_id": each.doc_id, "language": each.language, **asdict(verdict)})
        write_table(folder / shard.name, rows, _VERDICTS)


@dataclass(frozen=True)
class MaskJob:
    """What ``mask_shard`` needs besides a shard: the configuration and the folder of verdict tables."""

    config: CorpusConfig
    verdicts: Path


def mask_shard(shard: Path, output: Path, job: MaskJob) -> None:
    """Shard job: set the final language, mask personal data of surviving documents, attach the verdicts."""
    rows = []
    for document, verdict in zip(read_documents(shard), read_rows(job.verdicts / shard.name, _VERDICTS), strict=True):
        document = replace(document, language=verdict["language"])
        if not verdict["step"]:
            text, counts = mask(document.text, document.language, job.config.pii.kinds)
            document = replace(document, text=text, meta=document.meta | ({"masked": counts} if counts else {}))
        rows.append(document_row(document) | {name: verdict[name] for name in DROP_FIELDS})
    write_table(output, rows, (*FIELDS, *DROP_FIELDS))


def _read_masked(shards: Iterable[Path]) -> Iterator[tuple[Document, Verdict | None]]:
    for shard in shards:
        drops = (Verdict(**row) for row in read_rows(shard, DROP_FIELDS))
        for document, verdict in zip(read_documents(shard), drops, strict=True):
            yield document, verdict if verdict.step else None


def _divide(
    masked: Sequence[Path],
    bytes_before: dict[str, int],
    groups: dict[str, str],
    config: CorpusConfig,
    context: StageContext,
    funnel: Funnel,
) -> Counter[str]:
    """Write the three tables; return the number of documents in each."""
    sized: list[Sized] = []
    for document, verdict in _read_masked(masked):
        if verdict is None:
            size = document.bytes
            sized.append(Sized(document.doc_id, document.language, size, groups.get(document.doc_id, document.doc_id)))
            funnel.passed("pii", document.source, document.language, bytes_before[document.doc_id], size)
            funnel.extra("pii", document.source, document.language, document.meta.get("masked", {}))
    if not sized:
        raise DataError("corpus: no document passed the steps; dropped documents and reasons would be everything")
    held_out = choose_held_out(sized, config, context.seed)
    budget = over_budget((each for each in sized if each.doc_id not in held_out), config, context.seed)
    names = {"kept": FIELDS, "held_out": FIELDS, "dropped": (*FIELDS, *DROP_FIELDS)}
    writers = {name: ShardWriter(context.work / name, config.shard_bytes, fields) for name, fields in names.items()}
    counts: Counter[str] = Counter()
    for document, verdict in _read_masked(masked):
        place = (document.source, document.language)
        if verdict is None and document.doc_id in held_out:
            funnel.stopped("held_out", *place, "held out", document.bytes)
            table = "held_out"
        elif verdict is None:
            funnel.passed("held_out", *place, document.bytes)
            verdict = budget.get(document.doc_id)
            table = "dropped" if verdict else "kept"
            if verdict:
                funnel.stopped(BUDGET_STEP, *place, verdict.reason, document.bytes)
            else:
                funnel.passed(BUDGET_STEP, *place, document.bytes)
        else:
            table = "dropped"
        writers[table].add(document, verdict)
        counts[table] += 1
    for writer in writers.values():
        writer.close()
    return counts


def _outcome(funnel: Funnel, counts: Counter[str], aligned: int) -> StageOutcome:
    rows = funnel.rows()
    reasons: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for row in rows:
        if row["step"] == "held_out" and row["reason"]:
            held[row["language"]] += row["bytes_in"]
        elif row["reason"]:
            reasons[f"{row['step']}: {row['reason']}"] += row["documents_in"]
        elif row["step"] == BUDGET_STEP:
            kept[row["language"]] += row["bytes_out"]
    metrics = {f"kept_bytes_{language}": float(size) for language, size in sorted(kept.items())}
    metrics |= {f"held_out_bytes_{language}": float(size) for language, size in sorted(held.items())}
    documents = {name: counts[name] for name in ("kept", "held_out", "dropped")}
    return StageOutcome(
        counts={"documents": documents, "dropped": dict(sorted(reasons.items())), "aligned_sentences": aligned},
        metrics=metrics | {"aligned_sentences": float(aligned)},
    )
