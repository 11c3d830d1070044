"""Incremental dedup: new data against a saved index is the same as both in one step with the old ahead."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.exact import find_copies
from smolforge.corpus.dedup.index import check_index, write_index
from smolforge.corpus.dedup.near import find_near_copies
from smolforge.corpus.dedup.tables import ROW_BITS, Pool
from smolforge.errors import DataError, FormatError
from tests.corpus.dedup_pool import Text, group_of, ids_of, named_rows, pool, runner, without
from tests.corpus.test_corpus_near_dedup import mixed, spread

CONFIG = DedupConfig(wipe_out_share=1.0)


def documents(source: str, seed: int) -> list[Text]:
    return [Text(f"{source}{n:03d}", each.text, source=source) for n, each in enumerate(mixed(seed, 50))]


def gone(given: Pool, folder: Path, indexes: tuple[Path, ...] = ()) -> dict[str, str]:
    """Run exact dedup, then near dedup of the rest; return doc_id -> partner's id."""
    ids = ids_of(given)
    exact = named_rows(find_copies(given, runner(folder / "exact"), indexes))
    rest = without(given, folder / "masks", {row["place"] for row in exact})
    copies = find_near_copies(rest, CONFIG, runner(folder / "near"), indexes).copies
    near = named_rows(copies)
    return {ids[row["place"]]: row["partner_id"] for row in exact + near}


def saved(given: Pool, folder: Path, name: str, indexes: tuple[Path, ...] = ()) -> tuple[Path, dict[str, str]]:
    lost = gone(given, folder / "work", indexes)
    rest = without(given, folder / "kept", {place for place, doc_id in ids_of(given).items() if doc_id in lost})
    write_index(rest, folder / "index", name, CONFIG, runner(folder / "save"))
    return folder / "index", lost


def test_two_steps_are_one_step_with_the_old_ahead(tmp_path: Path) -> None:
    old, new = documents("old", 1), documents("new", 2)
    index, lost_old = saved(pool(tmp_path / "a", spread(old, 2, 1), sources=("old",)), tmp_path / "old", "first")
    lost_new = gone(pool(tmp_path / "b", spread(new, 3, 2), sources=("new",)), tmp_path / "new", (index,))
    both = pool(tmp_path / "c", spread([*old, *new], 4, 3), sources=("new", "old"), ahead=("old",))
    at_once = gone(both, tmp_path / "both")
    assert lost_old and lost_old == {doc_id: partner for doc_id, partner in at_once.items() if doc_id.startswith("old")}
    assert set(lost_new) == {doc_id for doc_id in at_once if doc_id.startswith("new")}
    kept = {f"first:{each.doc_id}" for each in old if each.doc_id not in lost_old} | {each.doc_id for each in new}
    assert set(lost_new.values()) <= kept, "the partner of a document is one that is there"
    assert sum(partner.startswith("first:old") for partner in lost_new.values()) > 5
    assert any(partner.startswith("new") for partner in lost_new.values())


def test_indexes_add_up(tmp_path: Path) -> None:
    parts = [documents("a", 1), documents("b", 2), [*documents("c", 1), *documents("d", 2)]]
    first, _ = saved(pool(tmp_path / "a", [parts[0]], sources=("a",)), tmp_path / "1", "one")
    second, _ = saved(pool(tmp_path / "b", [parts[1]], sources=("b",)), tmp_path / "2", "two", (first,))
    lost = gone(pool(tmp_path / "c", [parts[2]], sources=("c", "d")), tmp_path / "3", (first, second))
    assert len(lost) == len(parts[2]), "everything was there before"
    assert {"one", "two"} <= {partner.split(":")[0] for partner in lost.values()}


def test_a_partner_in_an_index_lies_behind_the_shards(tmp_path: Path) -> None:
    index, _ = saved(pool(tmp_path / "a", [[Text("x", "some words to keep")]]), tmp_path / "old", "first")
    given = pool(tmp_path / "b", [[Text("y", "some  words to keep")]])
    (row,) = named_rows(find_copies(given, runner(tmp_path / "work"), (index,)))
    assert row["partner"] >= 1 << ROW_BITS and row["partner_id"] == "first:x"


def test_groups_name_documents_of_this_corpus_alone(tmp_path: Path) -> None:
    words = [f"word{n}" for n in range(400)]
    old = [Text("0", " ".join(words))]
    new = [Text(f"{n}", " ".join([*words[: 300 - n], *(f"other{n}{m}" for m in range(100))])) for n in (2, 1)]
    index, _ = saved(pool(tmp_path / "a", [old]), tmp_path / "old", "first")
    given = pool(tmp_path / "b", [new])
    found = find_near_copies(given, CONFIG, runner(tmp_path / "work"), (index,))
    assert not named_rows(found.copies), "related, but no copies"
    smallest = (1, "1")  # of this corpus, not the index's
    assert group_of(found.groups, given) == {0: smallest, 1: smallest}


def test_an_index_is_checked_before_it_is_used(tmp_path: Path) -> None:
    index, _ = saved(pool(tmp_path / "a", [documents("old", 1)], sources=("old",)), tmp_path / "old", "first")
    assert check_index(index, CONFIG) == "first"
    with pytest.raises(DataError, match=r"corpus\.dedup\.bands 14, this run has 10"):
        check_index(index, CONFIG.model_copy(update={"bands": 10}))
    part = index / "part-00000.parquet"
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(FormatError, match=r"part-00000\.parquet: altered"):
        check_index(index, CONFIG)
    part.unlink()
    with pytest.raises(FormatError, match="missing"):
        check_index(index, CONFIG)
    with pytest.raises(DataError, match="no dedup index there"):
        check_index(tmp_path, CONFIG)


def test_a_folder_with_other_things_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "today.md").write_text("keep me")
    with pytest.raises(DataError, match="name another folder"):
        write_index(pool(tmp_path / "a", []), tmp_path / "notes", "x", CONFIG, runner(tmp_path / "work"))
    assert (tmp_path / "notes" / "today.md").read_text() == "keep me"
