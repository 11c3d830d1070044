"""One large file is read by several tasks, and what comes out is what one task makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.stage import SCRATCH, run
from smolforge.store import StageContext

TEXTS = [text for _, text in sorted(topics.items()) if 800 < len(text) < 8000][:60]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "pages.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"text": TEXTS}), path, row_group_size=5)
    return path


def build(table: Path, work: Path, **source: object) -> list[Path]:
    """Run the stage; return the outputs of its tasks that read."""
    own = {"kind": "folder", "path": str(table.parent), "name": "own", "rules": "notes", **source}
    run(CorpusConfig.model_validate({"sources": [own], "workers": 2}), StageContext(work, {}, 7))
    return sorted(path for path in (work / SCRATCH / "read").iterdir() if path.is_dir())


def rows(work: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: pq.read_table(work / name).to_pylist() for name in ("kept", "held_out", "dropped")}


def read_bytes(work: Path) -> int:
    funnel = json.loads((work / "funnel.json").read_text())
    return sum(row["bytes_in"] for row in funnel if row["step"] == "ingest")


def test_row_groups_read_by_several_tasks_give_what_the_whole_file_gives(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(build(table, tmp_path / "whole")) == 1
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 40_000)
    assert len(build(table, tmp_path / "parts")) >= 4
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    for name in ("funnel.json", "sources.json", "samples.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_bound_on_bytes_holds_over_all_tasks_of_a_file(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smolforge.corpus.ingest.folder.PIECE_BYTES", 40_000)
    bound, largest = 60_000, max(len(text.encode()) for text in TEXTS)
    tasks = build(table, tmp_path / "work", max_bytes=bound)
    assert len(tasks) >= 4
    assert bound <= read_bytes(tmp_path / "work") < bound + len(tasks) * largest
    texts = [text for name in rows(tmp_path / "work").values() for row in name if (text := row["text"])]
    assert len(texts) < len(TEXTS)
    from_each = [pq.read_table(task / "documents-00000.parquet").num_rows for task in tasks]
    assert all(from_each), "each part of the file has its share"
