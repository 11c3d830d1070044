"""Other limits on the same annotations: what they would drop and keep, in seconds and without reading a text.

Input: the folder of a finished corpus stage and a configuration with other floors of language, rules or toxicity.
Output: a row a reason with the documents it dropped then and would drop now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.judge import COLUMNS, judge
from smolforge.corpus.verdicts import alive, read_verdicts
from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

_BEFORE = ("read", "exact_dedup")  # verdicts that the judge comes after


@dataclass(frozen=True)
class Retuned:
    """Documents that a reason dropped in the finished stage (``then``) and drops with the other limits (``now``);
    ``fresh``: of these, how many had passed the judge."""

    step: str
    reason: str
    then: int
    now: int
    fresh: int

    def as_json(self) -> dict[str, Any]:
        """Return the row as a JSON value."""
        return asdict(self)


def retune(folder: Path, config: CorpusConfig) -> list[Retuned]:
    """Judge every document again and compare; rows are sorted by step and reason. Models are not run again: toxicity
    needs a corpus that was scored. DataError where the folder is no finished corpus stage."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    parts = sorted((folder / "annotations").glob("part-*.parquet"))
    if not parts:
        raise DataError(f"{folder}: no annotations/part-*.parquet: not the folder of a finished corpus stage")
    then, now, fresh = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for part in parts:
        table = pq.read_table(part, columns=list(COLUMNS))
        passes = alive((folder / "verdicts" / wave / part.name for wave in _BEFORE), table.num_rows)
        old = read_verdicts([folder / "verdicts" / "judge" / part.name])
        then.update(_reasons([old]))
        new = list(judge(table, passes, config))
        now.update(_reasons(new))
        dropped = set(old["row"].to_pylist())
        fresh.update(key for key, row in zip(_reasons(new), _rows(new), strict=True) if row not in dropped)
    return [Retuned(*key, then[key], now[key], fresh[key]) for key in sorted({*then, *now})]


def _reasons(tables: Iterable[pa.Table]) -> list[tuple[str, str]]:
    pairs = (zip(t["step"].to_pylist(), t["reason"].to_pylist(), strict=True) for t in tables)
    return [pair for each in pairs for pair in each]


def _rows(tables: Iterable[pa.Table]) -> list[int]:
    return [row for table in tables for row in table["row"].to_pylist()]
