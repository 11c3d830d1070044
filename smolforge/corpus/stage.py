"""The corpus stage as waves: read, exact dedup, judge, near dedup, finish, divide. Nothing is in memory but arrays.

Input: the sources of the recipe. Output below ``context.work``: ``kept/``, ``held_out/`` and ``dropped/`` document
tables, ``annotations/``, ``verdicts/`` and ``changes/`` (what ``history`` reads), ``funnel.json``, ``sources.json``,
``samples.jsonl``, ``aligned.jsonl``. Every ingested document is in exactly one table.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smolforge.corpus import dedup_exact, near_dedup
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup_tables import Copies, Groups, Pool, save_array
from smolforge.corpus.dedup_tables import Shard as PoolShard
from smolforge.corpus.divide import divide_shard
from smolforge.corpus.division import divide
from smolforge.corpus.engine import Part, Runner, Task
from smolforge.corpus.finish import FinishArgument, finish_shard
from smolforge.corpus.funnel import Funnel
from smolforge.corpus.ingest import Ledger, aligned, units
from smolforge.corpus.judge import judge_shard
from smolforge.corpus.publish import publish
from smolforge.corpus.read_job import Lost, lost_task, read_task, shards_of, unit_tasks
from smolforge.corpus.shards import Shard, Shards
from smolforge.corpus.split import BUDGET_STEP
from smolforge.corpus.verdicts import alive, same_or_write, verdict_table, write_verdicts
from smolforge.errors import MissingDependencyError
from smolforge.store import StageContext, StageOutcome, read_json, write_atomic, write_json

VERSION = "2"
SCRATCH = "scratch"
_NOTES_SHOWN = 5


def run(config: CorpusConfig, context: StageContext) -> StageOutcome:
    """Build the corpus. DataError for a source that cannot be used at all; single bad files only end up in
    ``sources.json``. The same sources give the same bytes for any number of workers, on one machine or many, and
    whatever was interrupted: finished outputs of an earlier try are used again."""
    _require_packages()
    with Runner(context.work / SCRATCH, config, context.progress) as runner:
        build = _Build(config, context, runner)
        build.read()
        build.exact_dedup()
        build.judge()
        groups = build.near_dedup()
        build.finish(groups)
        return build.tables()


def _require_packages() -> None:
    for package in ("pyarrow", "py3langid", "phonenumbers"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "data", "the corpus stage")


def aligned_task(task: Task, output: Path, config: CorpusConfig) -> None:
    """Job: write the parallel sentences of all catalogues."""
    rows = aligned(config)
    write_atomic(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


@dataclass
class _Build:
    """One build: ``verdicts`` are the files of each step so far, one a shard."""

    config: CorpusConfig
    context: StageContext
    runner: Runner
    ledger: Ledger = field(default_factory=Ledger)
    shards: Shards = field(default_factory=lambda: Shards(()))
    verdicts: dict[str, list[Path]] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        return self.runner.folder

    def read(self) -> None:
        """Read and annotate every unit."""
        cut = units(self.config, self.ledger)
        plan = same_or_write(self.scratch / "units.json", json.dumps([unit.as_json() for unit in cut]).encode())
        folders = self.runner.wave("read", read_task, unit_tasks(cut, plan), self.config)
        for folder in folders:
            self.ledger.add(Ledger.from_json(read_json(folder / "ledger.json")))
        by_name = dict(zip((folder.name for folder in folders), cut, strict=True))
        if lost := tuple(Lost.of(by_name[each.task], each.item, each.why) for each in self._poisoned("read")):
            folders += self.runner.wave("lost", lost_task, [Task("unit-lost", (), 0)], (self.config, lost))
        for record in self.ledger.records.values():
            for problem in record.problems[:_NOTES_SHOWN]:
                self.context.progress.note(f"{record.name}: {problem.path}: {problem.position}: {problem.message}")
        self.shards = shards_of(folders)
        self.verdicts["read"] = [shard.verdicts for shard in self.shards]

    def exact_dedup(self) -> None:
        """Stop all but one document of each text."""
        copies = dedup_exact.find_copies(self._pool(), self.runner)
        self._stop(dedup_exact.STEP, copies, "same text", lambda partner, score: f"kept {partner}")

    def judge(self) -> None:
        """Stop documents by language, rules and scores."""
        tasks = [self._task(shard, shard.annotations, items=0) for shard in self.shards]
        self.verdicts["judge"] = self.runner.wave("judge", judge_shard, tasks, self.config)

    def near_dedup(self) -> Groups:
        """Stop documents whose text occurs in another; return who is related to whom."""
        near = near_dedup.find_near_copies(self._pool(), self.config.dedup, self.runner)
        for note in near.notes:
            self.context.progress.note(note)
        detail: Callable[[str, float], str] = lambda partner, score: f"{score:.3f} in {partner}"  # noqa: E731
        self._stop(near_dedup.STEP, near.copies, "text of another document", detail)
        return near.groups

    def finish(self, groups: Groups) -> None:
        """Change what stays, and decide what is held out and what is over budget."""
        tasks = [self._task(shard, shard.documents, shard.annotations) for shard in self.shards]
        argument = FinishArgument(self.config, self.context.seed)
        self.finished = self.runner.wave("finish", finish_shard, tasks, argument)
        died = {shard.name: [] for shard in self.shards}  # type: dict[str, list[tuple[int, str]]]
        for each in self._poisoned("finish"):
            died[each.task].append((each.item, each.why))
        self._write("poisoned", (_poisoned_verdicts(died[shard.name]) for shard in self.shards))
        folder = self.scratch / "verdicts" / "division"
        self.verdicts["division"] = divide(self.shards, self.finished, groups, self.config, self.context.seed, folder)

    def tables(self) -> StageOutcome:
        """Write the three tables and the reports."""
        tasks = [
            self._task(shard, shard.documents, shard.annotations, finished, items=0)
            for shard, finished in zip(self.shards, self.finished, strict=True)
        ]
        divided = self.runner.wave("divide", divide_shard, tasks, self.context.seed)
        sentences = 0
        work = self.context.work
        write_atomic(work / "aligned.jsonl", b"")
        if any(spec.kind == "gettext" for spec in self.config.sources):
            (file,) = self.runner.wave("aligned", aligned_task, [Task("aligned.jsonl", (), 0)], self.config)
            write_atomic(work / "aligned.jsonl", file.read_bytes())
            sentences = file.read_bytes().count(b"\n")
        funnel, counts = Funnel(), Counter[str]()
        for folder in divided:
            found = read_json(folder / "counts.json")
            funnel.add(found["stops"], found["masked"])
            for row in found["stops"]:
                counts[{"": "kept", "held_out": "held_out"}.get(row["step"], "dropped")] += row["documents"]
        publish(work, self.shards, self.verdicts, self.finished, divided)
        write_json(work / "funnel.json", funnel.rows())
        write_json(work / "sources.json", self.ledger.as_json())
        return _outcome(funnel, counts, sentences)

    def _task(self, shard: Shard, *files: Path, items: int | None = None) -> Task:
        """Return a task over files of a shard and all its verdicts so far; ``items`` are its rows by default."""
        found = (*files, *(paths[shard.number] for paths in self.verdicts.values()))
        rows = shard.rows
        return Task(shard.name, tuple(Part(file, 0, rows) for file in found), rows if items is None else items)

    def _pool(self) -> Pool:
        """Return what dedup reads: the shards with what is alive of them so far."""
        folder = self.scratch / "alive" / str(len(self.verdicts))
        shards = []
        for shard in self.shards:
            mask = alive((paths[shard.number] for paths in self.verdicts.values()), shard.rows)
            file = save_array(folder / f"{shard.name}.npy", mask)
            shards.append(PoolShard(shard.annotations, shard.documents, file))
        return Pool(tuple(shards), tuple(self.ledger.records))

    def _stop(self, step: str, copies: Copies, reason: str, detail: Callable[[str, float], str]) -> None:
        tables = []
        for shard in self.shards:
            found = list(copies.rows_of(shard.number))
            rows, partners, scores = (
                [each[0] for each in found],
                [each[1] for each in found],
                [each[2] for each in found],
            )
            details = [detail(partner, score) for _, partner, score in found]
            tables.append(verdict_table(rows, step, [reason] * len(rows), details, partners, scores))
        self._write(step, tables)

    def _write(self, step: str, tables: Iterable[Any]) -> None:
        self.verdicts[step] = [self.scratch / "verdicts" / step / f"{shard.name}.parquet" for shard in self.shards]
        for path, table in zip(self.verdicts[step], tables, strict=True):
            write_verdicts(path, [table])

    def _poisoned(self, wave: str) -> Iterator[Any]:
        return (each for each in self.runner.poisoned if each.wave == wave)


def _poisoned_verdicts(died: Sequence[tuple[int, str]]) -> Any:
    rows, whys = [row for row, _ in died], [why for _, why in died]
    return verdict_table(rows, "poisoned", ["no process survives it"] * len(rows), whys)


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
        resume_only=(SCRATCH,),
    )
