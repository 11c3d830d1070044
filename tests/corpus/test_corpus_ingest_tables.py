"""Tables, packed lines and long texts: what is read of them, and what damage costs."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.corpus.sources_read import read, reasons, texts
from tests.corpus.warc_bytes import packed, page


def test_csv_and_tsv_give_their_text_column_and_name_damaged_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'id,text,url\n1,"first, with ""quotes""\nand two lines",https://a.example/\n2,x\n3,third,\n'
    )
    (tmp_path / "b.tsv").write_text("text\tid\none\t1\n")
    (tmp_path / "c.csv").write_text("content;id\nwith semicolon;1\n")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"text\npacked\n"))
    found, record = read(tmp_path)
    assert texts(found) == ['first, with "quotes"\nand two lines', "third", "one", "with semicolon", "packed"]
    assert reasons(found) == ["damaged CSV row"]
    assert [(each.path, each.position) for each in record.problems] == [("a.csv", "row1")]


def test_a_table_without_a_text_column_says_which_columns_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"], "id": [1]}), tmp_path / "a.parquet")
    _, record = read(tmp_path)
    assert "body, id" in record.problems[0].message
    assert texts(read({"kind": "folder", "path": str(tmp_path), "text_key": "body"})[0]) == ["x"]


def test_a_column_that_holds_no_strings_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    assert reasons(read(tmp_path)[0]) == ["no text"]


def test_arrow_files_and_streams_are_read(tmp_path: Path) -> None:
    table = pa.table({"text": [f"row {number}" for number in range(200)]})
    with pa.ipc.new_file(tmp_path / "file.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=70)
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=70)
    found, _ = read(tmp_path)
    assert texts(found) == [f"row {number}" for number in range(200)] * 2
    assert len({document.doc_id for document, _ in found}) == 400


def test_a_torn_row_group_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    lines = [os.urandom(300).hex() for _ in range(300)]
    pq.write_table(pa.table({"text": lines}), path, row_group_size=100, use_dictionary=False)
    metadata = pq.read_metadata(path)
    data = bytearray(path.read_bytes())
    start = metadata.row_group(1).column(0).data_page_offset
    data[start : start + 60] = bytes(60)
    path.write_bytes(bytes(data))
    found, record = read(path)
    assert texts(found) == lines[:100] + lines[200:]
    assert [problem.position for problem in record.problems] == ["group1row0"]


def test_packed_json_lines_are_read_and_torn_ones_keep_what_came_before(tmp_path: Path) -> None:
    lines = b"".join(json.dumps({"text": os.urandom(40).hex()}).encode() + b"\n" for _ in range(2000))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(lines[:4500]) + zstandard.compress(lines[4500:]))
    (tmp_path / "b.jsonl.zst").write_bytes(zstandard.compress(lines)[:-2000])
    found, record = read(tmp_path)
    assert 3000 < len(texts(found)) < 4000
    assert reasons(found) == ["torn file"]
    assert record.problems[0].path == "b.jsonl.zst"
    assert record.problems[0].position.startswith("after line")


def test_mislabelled_files_are_reported_and_read_as_what_they_are(tmp_path: Path) -> None:
    row = json.dumps({"text": "a row"}).encode() + b"\n"
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(row))
    (tmp_path / "b.jsonl.gz").write_bytes(row)
    pq.write_table(pa.table({"text": ["a row"]}), tmp_path / "c.csv")
    (tmp_path / "d.csv").write_bytes(b"PK\x03\x04 a zip file")
    (tmp_path / "e.txt").write_bytes(gzip.compress(b"text"))
    (tmp_path / "f.html").write_bytes(b"%PDF-1.7")
    found, record = read(tmp_path)
    assert texts(found) == ["a row"] * 3
    assert {each.path for each in record.problems} == {path.name for path in tmp_path.iterdir()}
    assert reasons(found) == ["another kind of file", "not text", "not a page"]


def test_a_long_text_file_is_read_in_blocks_without_losing_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smolforge.corpus.ingest.text_file.BLOCK_BYTES", 1000)
    words = [f"wört{number}" for number in range(3000)]
    for name, mark in (("a", " "), ("b", "\n\n")):
        (tmp_path / f"{name}.txt").write_text(mark.join(words))
    (tmp_path / "c.txt").write_text("ä" * 2000)
    found, record = read(tmp_path)
    assert not record.problems
    everything = " ".join(texts(found)).split()
    assert everything[: len(words)] == words
    assert everything[len(words) : 2 * len(words)] == words
    assert "".join(everything[2 * len(words) :]) == "ä" * 2000
    assert len({document.doc_id for document, _ in found}) == len(found)


def whole_files() -> dict[str, bytes]:
    """Return a small sound file of each format."""
    lines = b"".join(json.dumps({"text": f"row {number} of many"}).encode() + b"\n" for number in range(100))
    table = pa.table({"text": [f"row {number}" for number in range(100)]})
    parquet_file, arrow_file = pa.BufferOutputStream(), pa.BufferOutputStream()
    pq.write_table(table, parquet_file, row_group_size=30)
    with pa.ipc.new_stream(arrow_file, table.schema) as writer:
        writer.write_table(table, max_chunksize=30)
    archive = [page(number) for number in range(3)]
    return {
        "a.jsonl": lines,
        "a.jsonl.gz": gzip.compress(lines, mtime=0),
        "a.jsonl.zst": zstandard.compress(lines),
        "a.csv": b"text,id\n" + b'"quoted, text",1\n' * 50,
        "a.parquet": parquet_file.getvalue().to_pybytes(),
        "a.arrow": arrow_file.getvalue().to_pybytes(),
        "a.warc": b"".join(archive),
        "a.warc.gz": b"".join(packed(archive)),
        "a.txt": "text é\n".encode() * 50,
    }


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return data with bytes changed, lost, added, and its end gone."""
    found = bytearray(data)
    for _ in range(dice.choice((1, 2, 20))):
        place = dice.randrange(len(found) + 1)
        kind = dice.randrange(4)
        if kind == 0:
            found[place : place + 1] = dice.randbytes(1)
        elif kind == 1:
            found[place : place + dice.randrange(1, 100)] = b""
        elif kind == 2:
            found[place:place] = dice.randbytes(dice.randrange(1, 50))
        elif dice.random() < 0.3:
            del found[place:]
    return bytes(found)


@pytest.mark.parametrize("name", whole_files())
def test_damage_never_escapes_as_anything_but_problems_and_dropped_rows(name: str, tmp_path: Path) -> None:
    sound = whole_files()[name]
    (tmp_path / name).write_bytes(sound)
    whole, record = read(tmp_path, extract={"careful": False})
    assert whole and not record.problems
    dice = random.Random(name)
    for _ in range(40):
        (tmp_path / name).write_bytes(damaged(sound, dice))
        found, record = read(tmp_path, extract={"careful": False})
        assert all(document.text or verdict for document, verdict in found)
        assert not any("\0" in document.text for document, _ in found)
        assert len(record.problems) >= len([verdict for _, verdict in found if verdict and verdict.step == "ingest"])
