"""Exact dedup over shards: one of each text stays, whatever the shards are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from smolforge.corpus.dedup.exact import find_copies
from smolforge.corpus.dedup.tables import ROW_BITS, Pool
from tests.corpus.dedup_pool import Text, ids_of, named_rows, pool, runner, without

TEXTS = [Text(f"d{at:03d}", f"text number {at % 17}" + " " * (at % 5)) for at in range(90)]


def find(folder: Path, shards: list[list[Text]]) -> dict[str, str]:
    given = pool(folder / "in", shards)
    ids = ids_of(given)
    rows = named_rows(find_copies(given, runner(folder / "work")))
    assert all(ids[row["partner"]] == row["partner_id"] and row["score"] == 1 for row in rows)
    return {ids[row["place"]]: row["partner_id"] for row in rows}


def partners(given: Pool, folder: Path) -> list[str]:
    """Return the ids that stay instead of the copies, by the copies' places."""
    return [row["partner_id"] for row in named_rows(find_copies(given, runner(folder)))]


def test_the_longest_of_each_text_stays_then_the_smallest_id(tmp_path: Path) -> None:
    order = list(TEXTS)
    random.Random(1).shuffle(order)
    gone = find(tmp_path, [order[:40], order[40:41], order[41:], []])
    assert len(gone) == len(TEXTS) - 17
    for each in TEXTS:
        same = [other for other in TEXTS if other.text.split() == each.text.split()]
        stays = min(same, key=lambda other: (-len(other.text), other.doc_id))
        assert gone.get(each.doc_id, stays.doc_id) == stays.doc_id
        assert (each is stays) == (each.doc_id not in gone)


@pytest.mark.parametrize("shards", [1, 3, 90])
def test_shards_make_no_difference(shards: int, tmp_path: Path) -> None:
    assert find(tmp_path / "a", [TEXTS[n::shards] for n in range(shards)]) == find(tmp_path / "b", [TEXTS])


def test_the_earlier_source_stays_and_a_source_ahead_stays_before_it(tmp_path: Path) -> None:
    shards = [[Text("a", "same", source="web"), Text("b", "same", source="books")], [Text("c", "same", source="mail")]]
    sources = ("mail", "web", "books")
    given = pool(tmp_path / "in", shards, sources=sources)
    assert partners(given, tmp_path / "1") == ["c", "c"]
    given = pool(tmp_path / "in2", shards, sources=sources, ahead=("books",))
    assert partners(given, tmp_path / "2") == ["b", "b"]


def test_masked_documents_are_not_there(tmp_path: Path) -> None:
    given = pool(tmp_path / "in", [[Text("a", "same"), Text("b", "same")], [Text("c", "same")]])
    masked = without(given, tmp_path / "masks", {0})
    found = named_rows(find_copies(masked, runner(tmp_path / "work")))
    assert found == [{"place": 1 << ROW_BITS, "partner": 1, "partner_id": "b", "score": 1.0}]
