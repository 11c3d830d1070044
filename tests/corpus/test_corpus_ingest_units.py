"""How sources are cut into units, and that units together give each row once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smolforge.corpus.ingest import Ledger, Unit, read_unit, units
from smolforge.corpus.read_job import unit_tasks
from tests.corpus.sources_read import configured, read, texts


def jsonl(path: Path, count: int) -> list[str]:
    lines = [f"text {number} " + "x" * (number * 37 % 400) for number in range(count)]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    return lines


def test_large_files_are_cut_into_ranges_that_give_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = jsonl(tmp_path / "a.jsonl", 300)
    pq.write_table(pa.table({"text": lines}), tmp_path / "b.parquet", row_group_size=40, use_dictionary=False)
    pq.write_table(pa.table({"text": lines}), tmp_path / "c.parquet", use_dictionary=False)
    whole, _ = read(tmp_path)
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 10_000)
    cut = units(configured(tmp_path), Ledger())
    assert all(
        len([each for each in cut if each.files == (name,)]) > 3 for name in ("a.jsonl", "b.parquet", "c.parquet")
    )
    assert texts(read(tmp_path)[0]) == lines * 3
    assert {d.doc_id for d, _ in read(tmp_path)[0]} == {d.doc_id for d, _ in whole}, "ids do not depend on the cut"


def test_the_items_of_a_unit_can_be_read_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = jsonl(tmp_path / "a.jsonl", 120)
    pq.write_table(pa.table({"text": lines}), tmp_path / "b.parquet", row_group_size=50)
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"file {number}")
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 9_000)
    config = configured(tmp_path)
    for unit in units(config, Ledger()):
        whole = list(read_unit(unit, config, Ledger()))
        middle, end = unit.items // 3, unit.items
        apart = [unit.only([(0, middle)]), unit.only([(middle, end)])]
        assert [each for part in apart for each in read_unit(part, config, Ledger())] == whole
        assert list(read_unit(unit.only([(0, middle), (middle, end)]), config, Ledger())) == whole
        assert list(read_unit(unit.only([]), config, Ledger())) == []


def test_only_counts_items_across_ranges() -> None:
    unit = Unit(0, ("x",), "jsonl", ("a",), ranges=((10, 20), (50, 60)))
    assert unit.items == 20
    assert unit.only([(5, 12)]).ranges == ((15, 20), (50, 52))
    assert unit.only([(5, 12)]).only([(4, 6)]).ranges == ((19, 20), (50, 51))


def test_a_limit_of_bytes_is_shared_among_units_and_no_more_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 20_000)
    for name in "abc":
        jsonl(tmp_path / f"{name}.jsonl", 400)
    source = {"kind": "folder", "path": str(tmp_path), "max_bytes": 30_000}
    found, record = read(source)
    longest = max(document.bytes for document, _ in found)
    count = len(units(configured(source), Ledger()))
    assert count > 9
    assert 30_000 <= record.bytes <= 30_000 + count * longest
    assert record.left_out["units cut short at max_bytes"] == count
    assert (
        len(
            {
                document.meta["place"].split("#")[0] if "place" in document.meta else document.url.split("#")[0]
                for document, _ in found
            }
        )
        == 3
    )


def test_a_file_that_cannot_be_cut_has_as_much_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 20_000)
    (tmp_path / "large.arrow").write_bytes(os.urandom(150_000))
    (unit,) = units(configured(tmp_path), Ledger())
    (task,) = unit_tasks([unit], tmp_path / "units.json")
    assert task.times == unit.size / 20_000 > 5
