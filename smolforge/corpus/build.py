"""The waves of the corpus stage in their order, each handed what the ones before found.

Input: the configuration, and a runner whose folder has what an earlier try finished. Output: shards, verdict files of
every step, and the folders of the finish wave. The driver holds arrays; documents and their columns stay in files.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.contamination.index import build as build_index
from smolforge.corpus.contamination.pack import read_pack
from smolforge.corpus.dedup import exact as dedup_exact
from smolforge.corpus.dedup import lines as line_dedup
from smolforge.corpus.dedup import near as near_dedup
from smolforge.corpus.dedup import passages as substring_dedup
from smolforge.corpus.dedup.index import check_index, write_index
from smolforge.corpus.dedup.tables import (
    Copies,
    Groups,
    Names,
    Pool,
    names_of,
    places_of,
    read_columns,
    save_array,
    stays_for,
)
from smolforge.corpus.dedup.tables import Shard as PoolShard
from smolforge.corpus.division import divide
from smolforge.corpus.edit import EditPlan
from smolforge.corpus.engine import Part, Poisoned, Runner, Task
from smolforge.corpus.finish import VERDICTS, FinishArgument, finish_shard
from smolforge.corpus.ingest import Ledger, units
from smolforge.corpus.judge import QUALITY, QualityArgument, judge_shard, quality_floors, quality_shard
from smolforge.corpus.read_job import LOST_REASON, LOST_STEP, Lost, lost_task, read_task, shards_of, unit_tasks
from smolforge.corpus.rules.limits import load_profile
from smolforge.corpus.shards import Shard, Shards
from smolforge.corpus.spill_job import spill_large
from smolforge.corpus.verdicts import alive, read_verdicts, same_or_write, verdict_table, write_verdicts
from smolforge.errors import DataError
from smolforge.store import StageContext, read_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

_NOTES_SHOWN, _REASONS_SHOWN = 5, 4


def benchmarks_task(task: Task, output: Path, config: CorpusConfig) -> None:
    """Job: index the benchmarks that no document may hold."""
    assert config.decontaminate is not None
    build_index(read_pack(Path(config.decontaminate.benchmarks).expanduser())).save(output)


@dataclass
class Build:
    """One build. ``verdicts`` are the files of each step so far, one a shard; ``finished`` the folders of the finish
    wave."""

    config: CorpusConfig
    context: StageContext
    runner: Runner
    ledger: Ledger = field(default_factory=Ledger)
    ahead: tuple[str, ...] = ()
    shards: Shards = field(default_factory=lambda: Shards(()))
    verdicts: dict[str, list[Path]] = field(default_factory=dict)
    finished: list[Path] = field(default_factory=list)
    copies: list[Copies] = field(default_factory=list)
    copies_of_dropped: int = 0
    benchmarks: Path | None = None

    @property
    def scratch(self) -> Path:
        return self.runner.folder

    @property
    def indexes(self) -> list[Path]:
        """Folders of the indexes of earlier corpora."""
        return [Path(folder).expanduser() for folder in self.config.indexes]

    def read(self) -> None:
        """Read and annotate every unit. What would fail in a later wave fails here."""
        for folder in self.indexes:
            check_index(folder, self.config.dedup)
        for profile in sorted({spec.profile for spec in self.config.sources}):
            load_profile(profile, self.config.rules)
        cut, gone = spill_large(units(self.config, self.ledger), self.config, self.runner, self.scratch)
        ahead = (name for unit in cut if self.config.sources[unit.source].ahead for name in unit.names)
        self.ahead = tuple(dict.fromkeys(ahead))
        plan = same_or_write(self.scratch / "units.json", json.dumps([unit.as_json() for unit in cut]).encode())
        folders = self.runner.wave("read", read_task, unit_tasks(cut, plan), self.config)
        for folder in folders:
            self.ledger.add(Ledger.from_json(read_json(folder / "ledger.json")))
        by_name = dict(zip((folder.name for folder in folders), cut, strict=True))
        lost = tuple(Lost.of(by_name[each.task], each.item, each.why) for each in self._poisoned("read"))
        lost += tuple(Lost(unit.names[0], f"file:{unit.files[0]}", unit.licence, why) for unit, why in gone)
        if lost:
            folders += self.runner.wave("lost", lost_task, [Task("unit-lost", (), 0)], (self.config, lost))
        for record in self.ledger.records.values():
            for problem in record.problems[:_NOTES_SHOWN]:
                self.context.progress.note(f"{record.name}: {problem.path}: {problem.position}: {problem.message}")
        self.shards = shards_of(folders)
        self.verdicts["read"] = [shard.verdicts for shard in self.shards]

    def judge(self) -> None:
        """Stop documents by language, rules and toxicity. Comes before dedup, lest a copy that passes goes because of
        one that does not: sources differ in profile and declared language."""
        self.verdicts["judge"] = self.runner.wave("judge", judge_shard, self._columns(), self.config)

    def exact_dedup(self) -> None:
        """Stop all but one document of each text."""
        copies = dedup_exact.find_copies(self._pool(), self.runner, self.indexes)
        self._stop(dedup_exact.STEP, copies, "same text", lambda partner, score: f"kept {partner}")

    def judge_quality(self) -> None:
        """Stop documents by the score of a model, where there is one. A text counts once in a language's best share."""
        if self.config.quality is None:
            return
        shards = (
            (read_columns(shard.annotations, QUALITY), alive(self._verdicts(shard), shard.rows))
            for shard in self.shards
        )
        argument = QualityArgument(self.config.quality, quality_floors(shards, self.config.quality), self.context.seed)
        self.verdicts["quality"] = self.runner.wave("quality", quality_shard, self._columns(), argument)

    def near_dedup(self) -> Groups:
        """Stop documents whose text occurs in another; return who is related to whom."""
        near = near_dedup.find_near_copies(self._pool(), self.config.dedup, self.runner, self.indexes)
        for note in near.notes:
            self.context.progress.note(note)
        detail: Callable[[str, float], str] = lambda partner, score: f"{score:.3f} in {partner}"  # noqa: E731
        self._stop(near_dedup.STEP, near.copies, "text of another document", detail)
        return near.groups

    def finish(self, groups: Groups) -> None:
        """Change what stays, and decide what is held out and what is over budget."""
        tasks = [self.task(shard, shard.documents, shard.annotations) for shard in self.shards]
        argument = FinishArgument(self._edit_plan(), self.context.seed)
        self.finished = self.runner.wave("finish", finish_shard, tasks, argument)
        self.verdicts["finish"] = [folder / VERDICTS for folder in self.finished]
        died: dict[str, list[Poisoned]] = defaultdict(list)
        for each in self._poisoned("finish"):
            died[each.task].append(each)
        self._write("poisoned", (_poisoned_verdicts(died[shard.name]) for shard in self.shards))
        self._refuse_nothing()
        self._count_copies_of_dropped()
        if self.config.save_index is not None:
            folder = self.context.work / "index"
            write_index(self._pool(), folder, self.config.save_index, self.config.dedup, self.runner)
        folder = self.scratch / "verdicts" / "division"
        self.verdicts["division"] = divide(self.shards, self.finished, groups, self.config, self.context.seed, folder)

    def _count_copies_of_dropped(self) -> None:
        """Count the documents that went for one that the finish wave then dropped: their text is lost."""
        files = zip(self.shards, self.verdicts["finish"], strict=True)
        dropped = [places_of(shard.number, read_verdicts([path])["row"].to_numpy()) for shard, path in files]
        self.copies_of_dropped = int(np.isin(stays_for(self.copies), np.concatenate(dropped)).sum())
        if self.copies_of_dropped:
            self.context.progress.note(
                f"{self.copies_of_dropped} documents went as copies of documents that a later step dropped"
            )

    def _refuse_nothing(self) -> None:
        """Raise DataError where no document is left, with the reasons for it."""
        documents = sum(shard.rows for shard in self.shards)
        reasons: Counter[str] = Counter()
        for shard in self.shards:
            table = read_verdicts(self._verdicts(shard))
            reasons.update(map("{}: {}".format, table["step"].to_pylist(), table["reason"].to_pylist()))
        if reasons.total() == documents:
            common = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(_REASONS_SHOWN))
            raise DataError(f"corpus: none of {documents} documents passed the steps ({common or 'nothing was read'})")

    def _edit_plan(self) -> EditPlan:
        """Find what the finish wave goes by: boilerplate lines, passages and benchmarks, where the steps are on."""
        lines = None
        if self.config.line_dedup is not None:
            lines = line_dedup.find_boilerplate(self._pool(), self.config.line_dedup, self.runner)
        passages = None
        if self.config.substring_dedup is not None:
            cuts = (self.config.substring_dedup, self.runner, lines, self.config.line_dedup)
            passages, notes = substring_dedup.find_passages(self._pool(), *cuts)
            for note in notes:
                self.context.progress.note(note)
        if self.config.decontaminate is not None:
            (self.benchmarks,) = self.runner.wave(
                "benchmarks", benchmarks_task, [Task("index.npz", (), 0)], self.config
            )
        return EditPlan(self.config, lines, passages, self.benchmarks)

    def task(self, shard: Shard, *files: Path, items: int | None = None) -> Task:
        """Return a task over files of a shard and all its verdicts so far; ``items`` are its rows by default."""
        found = (*files, *self._verdicts(shard))
        rows = shard.rows
        parts = tuple(Part(file, 0, rows) for file in found)
        return Task(shard.name, parts, rows if items is None else items, size=shard.bytes)

    def _columns(self) -> list[Task]:
        """Return tasks over annotations and verdicts alone."""
        return [self.task(shard, shard.annotations, items=0) for shard in self.shards]

    def _verdicts(self, shard: Shard) -> list[Path]:
        return [paths[shard.number] for paths in self.verdicts.values()]

    def _pool(self) -> Pool:
        """Return what dedup reads: the shards with what is alive of them so far."""
        folder = self.scratch / "alive" / str(len(self.verdicts))
        shards = []
        for shard in self.shards:
            mask = alive(self._verdicts(shard), shard.rows)
            file = save_array(folder / f"{shard.name}.npy", mask)
            shards.append(PoolShard(shard.annotations, shard.documents, file))
        return Pool(tuple(shards), tuple(self.ledger.records), self.ahead)

    def _stop(self, step: str, copies: Copies, reason: str, detail: Callable[[str, float], str]) -> None:
        self.copies.append(copies)
        names = names_of(copies.table["partner"].to_numpy(), self._pool(), self.indexes)
        self._write(step, (_copy_verdicts(step, copies, names, shard, reason, detail) for shard in self.shards))

    def _write(self, step: str, tables: Iterable[pa.Table]) -> None:
        self.verdicts[step] = [self.scratch / "verdicts" / step / f"{shard.name}.parquet" for shard in self.shards]
        for path, table in zip(self.verdicts[step], tables, strict=True):
            write_verdicts(path, [table])

    def _poisoned(self, wave: str) -> Iterator[Poisoned]:
        return (each for each in self.runner.poisoned if each.wave == wave)


def _copy_verdicts(
    step: str, copies: Copies, names: Names, shard: Shard, reason: str, detail: Callable[[str, float], str]
) -> pa.Table:
    rows, places, scores = copies.of_shard(shard.number)
    partners = names.of(places)
    details = list(map(detail, partners, scores.tolist()))
    return verdict_table(rows, step, [reason] * len(rows), details, partners, scores)


def _poisoned_verdicts(died: Sequence[Poisoned]) -> pa.Table:
    return verdict_table(
        [each.item for each in died], LOST_STEP, [LOST_REASON] * len(died), [each.why for each in died]
    )
