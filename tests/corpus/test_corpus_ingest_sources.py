"""Tables, dataset folders, git checkouts and remote addresses as sources, and how sources are cut into units."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fsspec.implementations.memory import MemoryFileSystem

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.ingest import Ledger, Unit, read_unit, units
from smolforge.corpus.ingest.git_checkout import programming_language
from smolforge.corpus.ingest.git_index import tracked_files
from smolforge.corpus.ingest.licences import licence_of_text
from smolforge.corpus.ingest.report import SourceRecord
from smolforge.corpus.read_job import unit_tasks
from smolforge.errors import ConfigError, DataError, MissingDependencyError, NetworkError
from tests.corpus.warc_bytes import packed, page

Read = tuple[Document, Verdict | None]


def configured(source: Any, **settings: Any) -> CorpusConfig:
    return CorpusConfig.model_validate({"sources": [source if isinstance(source, dict) else str(source)], **settings})


def read(source: Any, **settings: Any) -> tuple[list[Read], SourceRecord]:
    """Read one source by its units, as a JSON value between planning and reading."""
    config = configured(source, **settings)
    ledger = Ledger()
    found: list[Read] = []
    for unit in units(config, ledger):
        part = Ledger()
        found.extend(read_unit(Unit.from_json(json.loads(json.dumps(unit.as_json()))), config, part))
        ledger.add(Ledger.from_json(json.loads(json.dumps(part.as_json()))))
    return found, next(iter(ledger.records.values()))


def texts(found: list[Read]) -> list[str]:
    return [document.text for document, verdict in found if verdict is None]


def reasons(found: list[Read]) -> list[str]:
    return [verdict.reason for _, verdict in found if verdict is not None]


# Tables


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


# Units


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


# Dataset folders


CARD = """---
license: {licence}
configs:
- config_name: small
  data_files:
  - split: train
    path: small/train-*.parquet
  - split: test
    path: "small/test.parquet"
- config_name: large
  data_files: "large/*"
---
# A dataset
"""


def parquet(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": list(rows)}), path)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(CARD.format(licence="cc-by-4.0"))
    parquet(tmp_path / "small" / "train-0.parquet", "train a", "train b")
    parquet(tmp_path / "small" / "test.parquet", "test")
    parquet(tmp_path / "large" / "x.parquet", "large")
    return tmp_path


@pytest.mark.parametrize(
    "chosen, expected",
    [
        ({}, ["train a", "train b"]),
        ({"split": "test"}, ["test"]),
        ({"subset": "large"}, ["large"]),
    ],
)
def test_a_dataset_folder_is_read_by_its_card(dataset: Path, chosen: dict[str, str], expected: list[str]) -> None:
    found, record = read({"kind": "dataset", "path": str(dataset), **chosen})
    assert texts(found) == expected
    assert {document.licence for document, _ in found} == {"cc-by-4.0"}
    assert record.licence == "cc-by-4.0"


def test_a_wrong_split_or_subset_names_those_that_are_there(dataset: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'tset' \(did you mean 'test'\?\); it has test, train"):
        read({"kind": "dataset", "path": str(dataset), "split": "tset"})
    with pytest.raises(DataError, match=r"no subset 'medium'.*small, large"):
        read({"kind": "dataset", "path": str(dataset), "subset": "medium"})


def test_splits_are_found_by_name_where_no_card_names_them(tmp_path: Path) -> None:
    parquet(tmp_path / "data" / "train-00000-of-00001.parquet", "train")
    parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", "validation")
    (tmp_path / "README.md").write_text("---\nlicense: [mit, apache-2.0]\nbroken: [\n---\n")
    found, record = read({"kind": "dataset", "path": str(tmp_path)})
    assert texts(found) == ["train"]
    assert record.problems[0].path == "README.md"
    assert texts(read({"kind": "dataset", "path": str(tmp_path), "split": "validation"})[0]) == ["validation"]


def test_folders_of_save_to_disk_are_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder = tmp_path / split
        folder.mkdir()
        table = pa.table({"text": [f"{split} row"]})
        with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
            writer.write_table(table)
        (folder / "dataset_info.json").write_text('{"license": "mit"}')
        (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    found, record = read({"kind": "dataset", "path": str(tmp_path)})
    assert texts(found) == ["train row"]
    assert record.licence == "mit"


# Git checkouts


MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this software"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "LICENSE": MIT,
        "src/main.py": "def main():\n    return 1\n",
        "src/lib.rs": "// SPDX-License-Identifier: Apache-2.0\nfn main() {}\n",
        "README.md": "# A project\n\nIt does things.\n",
        "vendor/other.py": "x = 1\n",
        "node_modules/a/index.js": "var a\n",
        "gen/api_pb2.py": "x = 1\n",
        "gen/made.py": "# Code generated by a tool. DO NOT EDIT.\nx = 1\n",
        "data.bin.py": "a\0b",
        "image.png": "png",
        ".gitignore": "ignored.py\n",
        "ignored.py": "secret = 1\n",
        "untracked.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "origin", "https://user:token@git.example/team/project.git")
    (tmp_path / "untracked.py").unlink()
    git(tmp_path, "add", ".")
    (tmp_path / "untracked.py").write_text("never = 1\n")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", "-C", str(folder), *words], check=True, env=environment, capture_output=True)


def test_a_checkout_gives_the_code_that_somebody_wrote(checkout: Path) -> None:
    found, record = read({"kind": "git", "path": str(checkout)})
    by_path = {document.meta["path"]: document for document, _ in found}
    assert set(by_path) == {"README.md", "src/lib.rs", "src/main.py"}
    assert by_path["src/main.py"].language == "code"
    assert by_path["src/main.py"].licence == "MIT"
    assert by_path["src/main.py"].meta["programming_language"] == "Python"
    assert by_path["src/main.py"].meta["repository"] == "https://git.example/team/project.git"
    assert by_path["src/lib.rs"].licence == "Apache-2.0"
    assert by_path["README.md"].language == ""
    assert by_path["README.md"].meta["profile"] == "notes"
    assert record.licence == "MIT"
    assert record.left_out == {
        "vendored files": 2,
        "generated files": 2,
        "binary files": 1,
        "files of another kind": 3,
    }


@pytest.mark.parametrize("version", [2, 3, 4])
def test_every_version_of_the_index_is_read_as_git_reads_it(checkout: Path, version: int) -> None:
    git(checkout, "update-index", "--index-version", str(version))
    if version == 3:
        git(checkout, "update-index", "--skip-worktree", "src/main.py")
    listed = subprocess.run(["git", "-C", str(checkout), "ls-files", "-z"], check=True, capture_output=True).stdout
    assert tracked_files(checkout) == sorted(name for name in listed.decode().split("\0") if name)


def test_what_is_no_checkout_is_refused_and_a_torn_index_named(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(DataError, match="not the top folder of a git checkout"):
        read({"kind": "git", "path": str(tmp_path_factory.mktemp("plain"))})
    index = checkout / ".git" / "index"
    whole = index.read_bytes()
    for cut in (0, 8, 40, len(whole) // 2):
        index.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="index"):
            tracked_files(checkout)


@pytest.mark.parametrize(
    "text, licence",
    [
        (MIT, "MIT"),
        ("Apache License\nVersion 2.0, January 2004", "Apache-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007", "GPL-3.0"),
        (
            "Redistributions in binary form must reproduce the above copyright notice. Neither the name of",
            "BSD-3-Clause",
        ),
        ("Redistributions in binary form must reproduce the above copyright notice", "BSD-2-Clause"),
        ("All rights reserved", "unknown"),
    ],
)
def test_licences_are_known_by_their_sentences(text: str, licence: str) -> None:
    assert licence_of_text(text) == licence


def test_languages_of_programs_follow_names_and_suffixes() -> None:
    names = {
        "a/b.py": "Python",
        "Makefile": "Make",
        "x.CPP": "C++",
        "CMakeLists.txt": "CMake",
        "a.unknown": "",
        "LICENSE": "",
    }
    assert {name: programming_language(name) for name in names} == names


# Addresses


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_addresses_are_read_like_folders(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"".join(json.dumps({"text": f"line {number}"}).encode() + b"\n" for number in range(100))
    memory.pipe("/bucket/sub/a.jsonl", lines)
    memory.pipe("/bucket/b.txt", b"plain text")
    memory.pipe("/bucket/.hidden/c.txt", b"hidden")
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 500)
    found, record = read("memory://bucket")
    assert sorted(texts(found)) == sorted(["plain text", *(f"line {number}" for number in range(100))])
    assert record.name == "bucket"
    assert texts(read("memory://bucket/b.txt")[0]) == ["plain text"]


class Unsteady(MemoryFileSystem):  # type: ignore[misc]
    """Files in memory over a line that fails ``failures`` times."""

    protocol = "unsteady"
    failures = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("unsteady:/")))

    def _open(self, *args: Any, **options: Any) -> Any:
        if Unsteady.failures > 0:
            Unsteady.failures -= 1
            raise RuntimeError("the line is down")
        return super()._open(*args, **options)


def test_a_line_that_fails_is_no_damage_of_a_file(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("unsteady", Unsteady, clobber=True)
    monkeypatch.setattr("smolforge.corpus.ingest.remote.WAITS", (0.0, 0.0))
    lines = b"".join(json.dumps({"text": f"line {number}"}).encode() + b"\n" for number in range(100))
    memory.pipe("/bucket/a.jsonl", lines)
    Unsteady.failures = 2
    assert len(read("unsteady://bucket/a.jsonl")[0]) == 100
    Unsteady.failures = 3
    with pytest.raises(NetworkError, match=r"the line is down.*run again"):
        read("unsteady://bucket/a.jsonl")


def test_a_change_behind_an_address_changes_the_stages_identity(memory: Any) -> None:
    memory.pipe("/bucket/a.txt", b"one")
    before = configured("memory://bucket").fingerprint()
    memory.pipe("/bucket/a.txt", b"three")
    assert configured("memory://bucket").fingerprint() != before


def test_a_missing_protocol_names_the_package_and_an_unknown_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingDependencyError, match=r"s3:// addresses needs the package 's3fs': pip install s3fs"):
        read("s3://bucket/folder")
    monkeypatch.undo()
    with pytest.raises(DataError, match="nosuch"):
        read("nosuch://bucket")
    with pytest.raises(DataError, match="does not exist or is empty"):
        read("memory://nothing/here")


def test_a_source_without_its_path_or_with_foreign_keys_is_refused() -> None:
    for source in ({"kind": "git"}, {"kind": "dataset"}, {"kind": "folder", "path": "x", "split": "train"}):
        with pytest.raises((ConfigError, ValueError)):
            configured(source)


# Damage


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


def test_a_file_that_cannot_be_cut_has_as_much_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 20_000)
    (tmp_path / "large.warc.zst").write_bytes(zstandard.compress(os.urandom(50_000)))
    (unit,) = units(configured(tmp_path), Ledger())
    (task,) = unit_tasks([unit], tmp_path / "units.json")
    assert task.times == unit.size / 20_000 > 5
