"""What happened to a document, told from the tables that a finished corpus stage keeps.

Input: the folder of the artifact and the id of a document. Output: where it was read, what was measured, how each step
judged it and on what evidence, what was changed in it, and the table it ended in. Also: clusters of duplicates.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.store import read_json

EXACT, NEAR = "exact_dedup", "near_dedup"
COPY_STEPS = (EXACT, NEAR)
_NO_MEASURES = ("row", "doc_id", "url", "source", "fingerprint", "keys")


@dataclass(frozen=True)
class Judgement:
    """What a step said. ``partner`` is the id of the document that stays instead, ``score`` the share that is there.

    Where the exact copy that first stayed went in near dedup itself, ``partner`` is the one that it went for, and
    ``detail`` still names the first."""

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
            partner, score = _stays(folder, stop["partner"], stop["score"])
            yield Judgement(step, False, stop["reason"], stop["detail"], partner, _plain(score))
            return
        yield Judgement(step, True)


def _stays(folder: Path, partner: str | None, score: float | None) -> tuple[str | None, float | None]:
    """Follow a partner to the document that stays instead of it, with the share that is found there."""
    for path in _parts(folder, "annotations") if partner is not None else ():
        for row in _where(path, "doc_id", partner, ["doc_id"]):
            for stop in _where(folder / "verdicts" / NEAR / path.name, "row", row["row"]):
                return stop["partner"], stop["score"]
    return partner, score


def _copies(folder: Path, doc_id: str) -> Iterator[tuple[str, float]]:
    """Yield what went for a document, and for documents that then went for it."""
    near = dict(_went_for(folder, NEAR, {doc_id: 1.0}))
    yield from _went_for(folder, EXACT, {doc_id: 1.0} | near)
    yield from near.items()


def _went_for(folder: Path, step: str, partners: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield documents that a step stopped as copies of ``partners``, and the share of each that stands there: its own
    in near dedup, that of the partner for an exact copy."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    wanted = pa.array(sorted(partners), pa.string())
    for path in sorted((folder / "verdicts" / step).glob("part-*.parquet")):
        table = pq.read_table(path, columns=["row", "partner", "score"])
        found = table.filter(pc.is_in(table["partner"], wanted)).to_pylist()
        for doc_id, each in zip(_doc_ids(folder, path.name, [each["row"] for each in found]), found, strict=True):
            yield doc_id, _plain(each["score"] * partners[each["partner"]])


def clusters(folder: Path, largest: int = 100, members: int = 20) -> list[Cluster]:
    """Return the ``largest`` clusters of duplicates, each with up to ``members`` of the documents dropped for it."""
    import pyarrow.parquet as pq

    parts = [path for step in COPY_STEPS for path in sorted((folder / "verdicts" / step).glob("part-*.parquet"))]
    sizes: Counter[str] = Counter()
    for path in parts:
        sizes.update(pq.read_table(path, columns=["partner"])["partner"].to_pylist())
    moved = dict(_moved(folder, sizes))
    for gone, (kept, _) in moved.items():
        sizes[kept] += sizes.pop(gone)
    chosen = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:largest])
    dropped: dict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for path in parts:
        table = pq.read_table(path, columns=["row", "step", "partner", "score"]).to_pylist()
        pairs = [(row, *moved.get(row["partner"], (row["partner"], row["score"]))) for row in table]
        pairs = [each for each in pairs if each[1] in chosen]
        ids = _doc_ids(folder, path.name, [row["row"] for row, _, _ in pairs])
        for doc_id, (row, kept, score) in zip(ids, pairs, strict=True):
            known = dropped[kept]
            known.append((-_plain(score), doc_id, row["step"]))
            known.sort()
            del known[members:]
    return [
        Cluster(kept, size, tuple((doc_id, step, -score) for score, doc_id, step in dropped[kept]))
        for kept, size in chosen.items()
    ]


def _moved(folder: Path, partners: Container[str]) -> Iterator[tuple[str, tuple[str, float]]]:
    """Yield the partners that went in near dedup themselves, with the one that stays and the score."""
    import pyarrow.parquet as pq

    for path in sorted((folder / "verdicts" / NEAR).glob("part-*.parquet")):
        rows = pq.read_table(path, columns=["row", "partner", "score"]).to_pylist()
        for doc_id, row in zip(_doc_ids(folder, path.name, [row["row"] for row in rows]), rows, strict=True):
            if doc_id in partners:
                yield doc_id, (row["partner"], row["score"])


def _parts(folder: Path, name: str) -> list[Path]:
    parts = sorted((folder / name).glob("part-*.parquet"))
    if not parts:
        raise DataError(f"{folder}: no {name}/part-*.parquet: not the folder of a finished corpus stage")
    return parts


def _where(path: Path, column: str, value: Any, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Return the rows of a table with a value in a column, with their number as ``row`` where it has no such column;
    ``columns``: these alone."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not path.is_file():
        return []
    rows = pc.indices_nonzero(pc.equal(pq.read_table(path, columns=[column])[column], value)).to_pylist()
    if not rows:
        return []
    found = pq.read_table(path, columns=columns).take(rows).to_pylist()
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
