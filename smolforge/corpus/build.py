"""The waves of the corpus stage in their order, each handed what the ones before found.

Input: the configuration, and a runner whose folder has what an earlier try finished. Output: shards, verdict files of
every step, and the folders of the finish and divide waves. The driver holds the names of files; what has a row or a
number a document is in them, and read by jobs alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.contamination.index import build as build_index
from smolforge.corpus.contamination.pack import read_pack
from smolforge.corpus.dedup import exact as dedup_exact
from smolforge.corpus.dedup import lines as line_dedup
from smolforge.corpus.dedup import near as near_dedup
from smolforge.corpus.dedup import passages as substring_dedup
from smolforge.corpus.dedup.copies import Copies, copies_of_dropped
from smolforge.corpus.dedup.index import check_index, write_index
from smolforge.corpus.dedup.tables import Pool, whole_task
from smolforge.corpus.dedup.tables import Shard as PoolShard
from smolforge.corpus.divide import DivideArgument, divide_shard
from smolforge.corpus.division import choose, starts
from smolforge.corpus.edit import EditPlan
from smolforge.corpus.engine import Part, Poisoned, Runner, Task
from smolforge.corpus.finish import FinishArgument, finish_shard, has_survivors
from smolforge.corpus.ingest import Ledger, units
from smolforge.corpus.judge import QualityArgument, floors_job, judge_shard, quality_shard, scores_shard
from smolforge.corpus.read_job import LOST_REASON, LOST_STEP, Lost, lost_task, read_task, shards_of, unit_tasks
from smolforge.corpus.rules.limits import load_profile
from smolforge.corpus.shards import Shard, Shards
from smolforge.corpus.spill_job import spill_large
from smolforge.corpus.verdicts import VERDICTS, read_verdicts, same_or_write, verdict_table, write_verdicts
from smolforge.errors import DataError
from smolforge.store import StageContext, read_json

_NOTES_SHOWN, _REASONS_SHOWN = 5, 4
_NONE = "none"  # the task whose verdict file is that of all shards without poisoned documents


def benchmarks_task(task: Task, output: Path, config: CorpusConfig) -> None:
    """Job: index the benchmarks that no document may hold."""
    assert config.decontaminate is not None
    build_index(read_pack(Path(config.decontaminate.benchmarks).expanduser())).save(output)


def poisoned_job(task: Task, output: Path, died: tuple[tuple[str, int, str], ...]) -> None:
    """Job: write the verdicts on a shard's documents that no process survived; ``died``: shard, row and why of all."""
    own = [(row, why) for name, row, why in died if name == task.name]
    rows, whys = zip(*own, strict=True) if own else ((), ())
    write_verdicts(output, [verdict_table(rows, LOST_STEP, [LOST_REASON] * len(rows), whys)])


@dataclass
class Build:
    """One build. ``verdicts`` are the files of each step so far, one a shard; ``finished`` and ``divided`` the folders
    of the finish and divide waves."""

    config: CorpusConfig
    context: StageContext
    runner: Runner
    ledger: Ledger = field(default_factory=Ledger)
    ahead: tuple[str, ...] = ()
    shards: Shards = field(default_factory=lambda: Shards(()))
    verdicts: dict[str, list[Path]] = field(default_factory=dict)
    finished: list[Path] = field(default_factory=list)
    divided: list[Path] = field(default_factory=list)
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

    def exact_dedup(self) -> Copies:
        """Stop all but one document of each text."""
        copies = dedup_exact.find_copies(self._pool(), self.runner, self.indexes)
        self.verdicts[dedup_exact.STEP] = copies.verdicts
        return copies

    def judge_quality(self) -> None:
        """Stop documents by the score of a model, where there is one. A text counts once in a language's best share."""
        config = self.config.quality
        if config is None:
            return
        floors: dict[str, float] = {}
        if config.top is not None:
            scores = self.runner.wave("quality-scores", scores_shard, self._columns())
            argument = (tuple(map(str, scores)), config)
            (file,) = self.runner.wave("floors", floors_job, [whole_task("floors.json", len(scores))], argument)
            floors = read_json(file)
        judged = QualityArgument(config, tuple(floors.items()), self.context.seed)
        self.verdicts["quality"] = self.runner.wave("quality", quality_shard, self._columns(), judged)

    def near_dedup(self) -> near_dedup.NearCopies:
        """Stop documents whose text occurs in another; return these, and who is related to whom."""
        near = near_dedup.find_near_copies(self._pool(), self.config.dedup, self.runner, self.indexes)
        for note in near.notes:
            self.context.progress.note(note)
        self.verdicts[near_dedup.STEP] = near.copies.verdicts
        return near

    def finish(self, exact: Copies, near: Copies) -> None:
        """Change what stays."""
        tasks = [self.task(shard, shard.documents, shard.annotations) for shard in self.shards]
        argument = FinishArgument(self._edit_plan(), self.context.seed)
        self.finished = self.runner.wave("finish", finish_shard, tasks, argument)
        self.verdicts["finish"] = [folder / VERDICTS for folder in self.finished]
        self._stop_poisoned()
        self._refuse_nothing()
        self.copies_of_dropped = copies_of_dropped(exact, near, self.verdicts["finish"], self.runner)
        if self.copies_of_dropped:
            self.context.progress.note(
                f"{self.copies_of_dropped} documents went as copies of documents that a later step dropped"
            )
        if self.config.save_index is not None:
            folder = self.context.work / "index"
            write_index(self._pool(), folder, self.config.save_index, self.config.dedup, self.runner)

    def divide(self, groups: Sequence[Path]) -> None:
        """Decide what is held out and what is over budget, and give every document its table."""
        config, seed = self.config, self.context.seed
        finished = list(zip(self.shards, self.finished, strict=True))
        rows = [self.task(shard, shard.annotations, folder, items=0) for shard, folder in finished]
        fates = choose(rows, self.shards, groups, config, seed, self.runner)
        tasks = []
        for (shard, folder), first in zip(finished, starts(self.shards), strict=False):
            task = self.task(shard, shard.documents, shard.annotations, folder, items=0)
            tasks.append(replace(task, inputs=(*task.inputs, Part(fates, first, first + shard.rows))))
        self.divided = self.runner.wave("divide", divide_shard, tasks, DivideArgument(config, seed))
        self.verdicts["division"] = [folder / VERDICTS for folder in self.divided]

    def _stop_poisoned(self) -> None:
        """Write the verdicts on what no process survived finishing; shards without any share an empty file."""
        died = tuple((each.task, each.item, each.why) for each in self._poisoned("finish"))
        tasks = [Task(name, (), 0) for name in (_NONE, *sorted({name for name, _, _ in died}))]
        files = {path.name: path for path in self.runner.wave("poisoned", poisoned_job, tasks, died)}
        self.verdicts["poisoned"] = [files.get(shard.name, files[_NONE]) for shard in self.shards]

    def _refuse_nothing(self) -> None:
        """Raise DataError where no document is left, with the reasons for it."""
        if any(map(has_survivors, self.finished)):
            return
        reasons: Counter[str] = Counter()
        for shard in self.shards:
            table = read_verdicts(self._verdicts(shard))
            reasons.update(map("{}: {}".format, table["step"].to_pylist(), table["reason"].to_pylist()))
        common = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(_REASONS_SHOWN))
        documents = self.shards.documents
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
        """Return what dedup reads: the shards with their verdicts so far."""
        shards = (
            PoolShard(shard.annotations, shard.documents, shard.rows, shard.bytes, tuple(self._verdicts(shard)))
            for shard in self.shards
        )
        return Pool(tuple(shards), tuple(self.ledger.records), self.ahead)

    def _poisoned(self, wave: str) -> Iterator[Poisoned]:
        return (each for each in self.runner.poisoned if each.wave == wave)
