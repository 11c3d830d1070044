"""What happened to a document, told from the tables that a finished corpus stage keeps.

Input: the folder of the artifact and the id of a document. Output: where it was read, what was measured, how each step
judged it and on what evidence, what was changed in it, and the table it ended in. Also: clusters of duplicates.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.store import read_json

COPY_STEPS = ("exact_dedup", "near_dedup")
_NO_MEASURES = ("row", "doc_id", "url", "source", "fingerprint", "keys")


@dataclass(frozen=True)
class Judgement:
    """What a step said. ``partner`` is the id of the document that stays instead, ``score`` the share found there."""

    step: str
    passed: bool
    reason: str = ""
    detail: str = ""
    partner: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class History:
    """One document. ``measures`` are its annotations; ``changes`` say what was masked or cut; ``copies`` are the ids
    of documents that were dropped because this one has their text, with their scores."""

    doc_id: str
    url: str
    source: str
    table: str
    measures: dict[str, Any]
    judgements: tuple[Judgement, ...]
    changes: dict[str, Any]
    copies: tuple[tuple[str, float], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the history as a JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class Cluster:
    """A document that stays and those dropped for it: (id, step, score), the most alike first. ``size`` counts all of
    them, also those not listed. ``kept`` may be ``NAME:ID``, a document of a saved index."""

    kept: str
    size: int
    dropped: tuple[tuple[str, str, float], ...]


def history(folder: Path, doc_id: str) -> History:
    """Return what happened to a document. DataError where the folder is no finished corpus, or has no such document."""
    annotations = _parts(folder, "annotations")
    for path in annotations:
        for row in _where(path, "doc_id", doc_id):
            return _tell(folder, path.name, row)
    raise DataError(f"{folder}: no document '{doc_id}' (ids are 32 hexadecimal digits, as in the column 'doc_id')")


def _tell(folder: Path, part: str, found: dict[str, Any]) -> History:
    row, doc_id = found["row"], str(found["doc_id"])
    stops = [each for path in sorted((folder / "verdicts").glob(f"*/{part}")) for each in _where(path, "row", row)]
    assert len(stops) <= 1, f"{doc_id} was stopped twice"
    stop = stops[0] if stops else None
    changes = next(iter(_where(folder / "changes" / part, "row", row)), {}).get("changes") or "{}"
    return History(
        doc_id=doc_id,
        url=str(found["url"]),
        source=str(found["source"]),
        table="kept" if stop is None else "held_out" if stop["step"] == "held_out" else "dropped",
        measures={name: _plain(found[name]) for name in found if name not in _NO_MEASURES},
        judgements=tuple(_judgements(folder, stop)),
        changes=json.loads(changes),
        copies=tuple(_copies(folder, doc_id)),
    )


def _judgements(folder: Path, stop: dict[str, Any] | None) -> Iterator[Judgement]:
    """Yield the steps that the document reached, the one that stopped it last."""
    for step in dict.fromkeys(row["step"] for row in read_json(folder / "funnel.json")):
        if stop is not None and stop["step"] == step:
            yield Judgement(step, False, stop["reason"], stop["detail"], stop["partner"], _plain(stop["score"]))
            return
        yield Judgement(step, True)


def _copies(folder: Path, doc_id: str) -> Iterator[tuple[str, float]]:
    for step in COPY_STEPS:
        for path in sorted((folder / "verdicts" / step).glob("part-*.parquet")):
            found = _where(path, "partner", doc_id)
            ids = _doc_ids(folder, path.name, [each["row"] for each in found])
            yield from zip(ids, (_plain(each["score"]) for each in found), strict=True)


def clusters(folder: Path, largest: int = 100, members: int = 20) -> list[Cluster]:
    """Return the ``largest`` clusters of duplicates, each with up to ``members`` of the documents dropped for it."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    parts = [path for step in COPY_STEPS for path in sorted((folder / "verdicts" / step).glob("part-*.parquet"))]
    sizes: Counter[str] = Counter()
    for path in parts:
        sizes.update(pq.read_table(path, columns=["partner"])["partner"].to_pylist())
    chosen = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:largest])
    dropped: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for path in parts:
        rows = [row for row in pq.read_table(path).to_pylist() if row["partner"] in chosen]
        ids = _doc_ids(folder, path.name, [row["row"] for row in rows])
        for doc_id, row in zip(ids, rows, strict=True):
            known = dropped[row["partner"]]
            known.append((-_plain(row["score"]), doc_id, row["step"]))
            known.sort()
            del known[members:]
    return [
        Cluster(kept, size, tuple((doc_id, step, -score) for score, doc_id, step in dropped[kept]))
        for kept, size in chosen.items()
    ]


def _parts(folder: Path, name: str) -> list[Path]:
    parts = sorted((folder / name).glob("part-*.parquet"))
    if not parts:
        raise DataError(f"{folder}: no {name}/part-*.parquet: not the folder of a finished corpus stage")
    return parts


def _where(path: Path, column: str, value: Any) -> list[dict[str, Any]]:
    """Return the rows of a table with a value in a column, with their number as ``row`` where it has no such column."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.parquet as pq

    if not path.is_file():
        return []
    rows = pc.indices_nonzero(pc.equal(pq.read_table(path, columns=[column])[column], value)).to_pylist()
    if not rows:
        return []
    found = pq.read_table(path).take(rows).to_pylist()
    return [{"row": row} | each for row, each in zip(rows, found, strict=True)]


def _doc_ids(folder: Path, part: str, rows: Sequence[int]) -> list[str]:
    import pyarrow.parquet as pq

    if not rows:
        return []
    ids: list[str] = pq.read_table(folder / "annotations" / part, columns=["doc_id"])["doc_id"].take(rows).to_pylist()
    return ids


def _plain(value: Any) -> Any:
    """Return a number without the noise of float32, and None for NaN."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
