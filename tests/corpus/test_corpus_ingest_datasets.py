"""Dataset folders: what the card, the names of files or the saved state say is there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smolforge.errors import DataError
from tests.corpus.sources_read import read, texts

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
