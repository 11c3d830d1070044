"""Other limits on the same annotations: what they would drop and keep, in seconds and without reading a text.

Input: the folder of a finished corpus stage and a configuration with other floors of language, rules, toxicity or
quality. Output: a row a reason with the documents and bytes it dropped then and would drop now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup.exact import STEP as EXACT
from smolforge.corpus.judge import QUALITY, QualityArgument, columns_in, judge, judge_quality, quality_floors
from smolforge.corpus.scoring import floor as quality_floor
from smolforge.corpus.verdicts import alive, read_verdicts
from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Retuned:
    """Documents (and their UTF-8 bytes) that a reason dropped in the finished stage (``then``) and drops with the other
    limits (``now``); ``fresh``: of these, how many had passed."""

    step: str
    reason: str
    then: int
    now: int
    fresh: int
    then_bytes: int
    now_bytes: int
    fresh_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return the row as a JSON value."""
        return asdict(self)


@dataclass
class _Tally:
    """Counts of one kind by (step, reason)."""

    documents: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, tables: Iterable[pa.Table], sizes: NDArray[np.int64], among: Bools | None = None) -> None:
        """Count verdicts; ``among``: only on these rows."""
        for table in tables:
            columns = (table[name].to_pylist() for name in ("step", "reason", "row"))
            for step, reason, row in zip(*columns, strict=True):
                if among is None or among[row]:
                    self.documents[step, reason] += 1
                    self.bytes[step, reason] += int(sizes[row])


@dataclass(frozen=True)
class _Part:
    """One shard: its columns, what a stage before the judge stopped, its copies, and its verdicts then."""

    table: pa.Table
    read: Bools
    distinct: Bools
    then: pa.Table

    @classmethod
    def open(cls, folder: Path, name: str) -> _Part:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        annotations = folder / "annotations" / name
        needed = dict.fromkeys((*columns_in(annotations), *QUALITY, "bytes"))
        table = pq.read_table(annotations, columns=list(needed))
        files = {step: folder / "verdicts" / step / name for step in ("read", EXACT, "judge", quality_floor.STEP)}
        judged = read_verdicts(files[step] for step in ("judge", quality_floor.STEP) if files[step].is_file())
        read, distinct = (alive([files[step]], table.num_rows) for step in ("read", EXACT))
        return cls(table, read, distinct, judged)

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.asarray(self.table["bytes"].to_numpy())


def retune(folder: Path, config: CorpusConfig, seed: int = 0) -> list[Retuned]:
    """Judge every document again and compare; rows are sorted by step and reason. ``seed`` is that of the stage.

    Models are not run again: toxicity and quality need a corpus that was scored. Of copies of one text those that went
    then go now too, and what came after (near dedup, budgets) is not computed anew. DataError where the folder is no
    finished corpus stage.
    """
    names = sorted(path.name for path in (folder / "annotations").glob("part-*.parquet"))
    if not names:
        raise DataError(f"{folder}: no annotations/part-*.parquet: not the folder of a finished corpus stage")
    then, now, fresh = _Tally(), _Tally(), _Tally()
    argument = _quality(folder, names, config, seed)
    for name in names:
        part = _Part.open(folder, name)
        passes = part.read.copy()
        verdicts = list(judge(part.table, passes, config))
        if argument is not None:
            verdicts += judge_quality(part.table, passes & part.distinct, argument)
        passed = np.ones(len(passes), bool)
        passed[part.then["row"].to_numpy()] = False
        then.add([part.then], part.sizes)
        now.add(verdicts, part.sizes)
        fresh.add(verdicts, part.sizes, passed)
    keys, tallies = sorted({*then.documents, *now.documents}), (then, now, fresh)
    return [Retuned(*key, *(t.documents[key] for t in tallies), *(t.bytes[key] for t in tallies)) for key in keys]


def _quality(folder: Path, names: Sequence[str], config: CorpusConfig, seed: int) -> QualityArgument | None:
    """Return what the quality step goes by; floors depend on what the other steps let pass now."""
    if config.quality is None:
        return None

    def shards() -> Iterator[tuple[pa.Table, Bools]]:
        for name in names:
            part = _Part.open(folder, name)
            passes = part.read.copy()
            for _ in judge(part.table, passes, config):
                pass
            yield part.table, passes & part.distinct

    return QualityArgument(config.quality, quality_floors(shards(), config.quality), seed)
