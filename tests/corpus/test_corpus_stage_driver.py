"""The process that drives the stage reads no table, and merging many shards' tables first changes no byte."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, NoReturn

import pyarrow.parquet as pq
import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup import shuffle
from smolforge.corpus.stage import SCRATCH, run
from smolforge.store import StageContext, digest_file

TEXTS = [text for _, text in sorted(topics.items()) if 2000 < len(text) < 8000][:24]


@pytest.fixture
def config(tmp_path: Path) -> CorpusConfig:
    """Originals, copies of whole texts, texts without their ends, and a foot that all pages share."""
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [*TEXTS, *TEXTS[::6], *(text[: len(text) * 24 // 25] for text in TEXTS[1::6])]
    for number, text in enumerate(texts):
        (folder / f"note-{number:02d}.txt").write_text(f"{text}\n\nWritten by the people of this collection")
    settings: dict[str, Any] = {
        "sources": [{"kind": "folder", "path": str(folder), "name": "own"}],
        "shard_bytes": 10_000,
        "held_out": 0.2,
        "max_bytes_per_language": 40_000,
        "dedup": {"wipe_out_share": 1.0},
        "line_dedup": {},
        "substring_dedup": {},
    }
    return CorpusConfig.model_validate(settings)


def built(config: CorpusConfig, work: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Return the digests of what the stage wrote, and how many documents each step stopped."""
    outcome = run(config, StageContext(work, {}, 7))
    paths = (path for path in work.rglob("*") if path.is_file() and path.relative_to(work).parts[0] != SCRATCH)
    return {str(path.relative_to(work)): digest_file(path) for path in paths}, outcome.counts["dropped"]


def forbidden(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the driver read a table: what it holds would grow with the corpus")


@pytest.mark.slow
def test_the_driver_reads_no_table_and_merges_change_nothing(
    config: CorpusConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, dropped = built(config, tmp_path / "whole")
    steps = {reason.split(":")[0] for reason in dropped}
    assert {"exact_dedup", "near_dedup", "budget"} <= steps, "the test needs copies of both kinds, and a budget"
    monkeypatch.setattr(shuffle, "FAN", 2)
    for name in ("read", "read_row_group", "iter_batches"):
        monkeypatch.setattr(pq.ParquetFile, name, forbidden)
    monkeypatch.setattr(pq, "read_table", forbidden)
    merged, _ = built(config, tmp_path / "merged")
    waves = {path.name for path in (tmp_path / "merged" / SCRATCH).iterdir()}
    assert {"exact-rows-1", "near-texts-1", "near-keys-2", "line-counts-1", "division-held-out-1"} <= waves
    assert merged == whole
