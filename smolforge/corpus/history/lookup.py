"""Documents of a finished corpus by what a person has at hand: an id, the beginning of one, or an address.

Input: the folder of the artifact. Output: who is meant, and the stored documents with their texts.
"""

from __future__ import annotations

import difflib
import heapq
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smolforge.corpus.document import FIELDS, Document
from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

TABLES = ("kept", "held_out", "dropped")
SHORTEST_PREFIX = 4
_SHOWN = 5  # candidates that an error names
_LOOKED_AT = 20_000  # addresses that are compared for the nearest one


@dataclass(frozen=True)
class Name:
    """A document's names."""

    doc_id: str
    url: str
    source: str


def find(folder: Path, wanted: str) -> Name:
    """Return the document that has this id, whose id alone begins so, or that alone has this address.

    DataError lists the candidates where there are several, and the nearest where there is none.
    """
    named = _matching(folder, wanted)
    if len(named) > 1:
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        raise DataError(f"'{wanted}' is {len(named)} documents; give the id of one: {_listed(named[:_SHOWN])}{more}")
    if named:
        return named[0]
    near = _listed(_nearest(folder, wanted))
    hint = f"; near it: {near}" if near else ""
    raise DataError(
        f"{folder}: no document '{wanted}' (an id of 32 hexadecimal digits, at least {SHORTEST_PREFIX} from its "
        f"beginning, or an address as in the column 'url'){hint}"
    )


def stored(folder: Path, ids: Collection[str]) -> dict[str, tuple[str, Document]]:
    """Return table and document, as stored there, of each id that the corpus has."""
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    wanted = pa.array(sorted(ids), pa.string())
    found: dict[str, tuple[str, Document]] = {}
    for table in TABLES:
        for path in sorted((folder / table).glob("part-*.parquet")):
            if len(found) == len(wanted):
                return found
            rows = pc.indices_nonzero(pc.is_in(pq.read_table(path, columns=["doc_id"])["doc_id"], wanted))
            if len(rows):
                for row in pq.read_table(path, columns=list(FIELDS)).take(rows).to_pylist():
                    found[row["doc_id"]] = table, Document(**row | {"meta": json.loads(row["meta"])})
    return found


def _listed(names: Iterable[Name]) -> str:
    return ", ".join(f"{name.doc_id} ({name.url})" for name in names)


def _matching(folder: Path, wanted: str) -> list[Name]:
    import pyarrow.compute as pc

    prefix = wanted.lower()
    by_id = len(prefix) >= SHORTEST_PREFIX and all(digit in "0123456789abcdef" for digit in prefix)
    found: list[Name] = []
    for names in _names(folder):
        is_meant = pc.equal(names["url"], wanted)
        if by_id:
            is_meant = pc.or_(is_meant, pc.starts_with(names["doc_id"], prefix))
        found += [Name(**row) for row in names.filter(is_meant).to_pylist()]
    return found


def _nearest(folder: Path, wanted: str) -> list[Name]:
    """Return documents whose address holds what was asked for, or else those whose address is most like it."""
    import pyarrow.compute as pc

    holding: list[Name] = []
    some: list[Name] = []
    for names in _names(folder):
        inside = names.filter(pc.match_substring(names["url"], wanted, ignore_case=True))
        holding += [Name(**row) for row in inside.slice(0, _SHOWN).to_pylist()]
        if len(holding) >= _SHOWN:
            break
        some += [Name(**row) for row in names.slice(0, _LOOKED_AT - len(some)).to_pylist()]
    if holding:
        return holding[:_SHOWN]
    matcher = difflib.SequenceMatcher(b=wanted)

    def likeness(name: Name) -> float:
        matcher.set_seq1(name.url)
        return matcher.ratio() if matcher.real_quick_ratio() >= 0.5 else 0.0

    ranked = heapq.nsmallest(_SHOWN, ((-likeness(name), name.doc_id, name) for name in some))
    return [name for score, _, name in ranked if score < -0.5]


def _names(folder: Path) -> Iterator[pa.Table]:
    """Yield ids, addresses and sources of each shard; DataError where the folder is no finished corpus."""
    import pyarrow.parquet as pq

    paths = sorted((folder / "annotations").glob("part-*.parquet"))
    if not paths:
        raise DataError(f"{folder}: no annotations/part-*.parquet: not the folder of a finished corpus stage")
    for path in paths:
        yield pq.read_table(path, columns=["doc_id", "url", "source"])
