"""Shards for tests of dedup: documents with the columns that dedup reads, and a runner in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smolforge.corpus.config import DedupConfig, EngineConfig
from smolforge.corpus.dedup.copies import PAIRS, Copies
from smolforge.corpus.dedup.exact import fingerprint
from smolforge.corpus.dedup.minhash import U64, band_keys, shingles, word_hashes
from smolforge.corpus.dedup.shuffle import read_partition
from smolforge.corpus.dedup.tables import ROW_BITS, ROW_MASK, Pool, Shard
from smolforge.corpus.engine.inline import InlineLauncher
from smolforge.corpus.engine.wave import Runner
from smolforge.corpus.text.words import nomination_words
from smolforge.corpus.verdicts import VERDICTS, verdict_table, write_verdicts
from smolforge.store import QuietProgress


@dataclass(frozen=True)
class Text:
    """A document of a test."""

    doc_id: str
    text: str
    label: str = "en"
    source: str = "source"
    url: str = ""


def runner(folder: Path) -> Runner:
    return Runner(folder, EngineConfig(), QuietProgress(), InlineLauncher())


def pool(
    folder: Path,
    shards: Sequence[Sequence[Text]],
    config: DedupConfig | None = None,
    sources: tuple[str, ...] = ("source",),
    ahead: tuple[str, ...] = (),
) -> Pool:
    """Write the shards' documents and annotations below ``folder``."""
    written = [_write(folder / f"{number:03d}", shard, config or DedupConfig()) for number, shard in enumerate(shards)]
    return Pool(tuple(written), sources, ahead)


def _write(folder: Path, texts: Sequence[Text], config: DedupConfig) -> Shard:
    folder.mkdir(parents=True)
    size = sum(len(each.text.encode()) for each in texts)
    shard = Shard(folder / "annotations.parquet", folder / "documents.parquet", len(texts), size)
    columns = {
        "doc_id": pa.array([each.doc_id for each in texts], pa.string()),
        "url": pa.array([each.url for each in texts], pa.string()),
        "source": pa.array([each.source for each in texts], pa.string()),
        "label": pa.array([each.label for each in texts], pa.string()),
        "characters": pa.array([len(each.text) for each in texts], pa.int64()),
        "bytes": pa.array([len(each.text.encode()) for each in texts], pa.int64()),
        "fingerprint": pa.array([bytes.fromhex(fingerprint(each.text)) for each in texts], pa.binary(16)),
        "keys": pa.array([nomination_keys(each.text, each.label, config, {}) for each in texts], pa.list_(pa.uint64())),
    }
    pq.write_table(pa.table(columns), shard.annotations)
    ids = {"doc_id": columns["doc_id"], "text": pa.array([each.text for each in texts], pa.string())}
    pq.write_table(pa.table(ids), shard.documents, row_group_size=7)
    return shard


def without(given: Pool, folder: Path, gone: set[int]) -> Pool:
    """Return the pool with verdicts on the documents at some places."""
    shards = []
    folder.mkdir(parents=True)
    for number, shard in enumerate(given.shards):
        rows = sorted(place & ROW_MASK for place in gone if place >> ROW_BITS == number)
        file = folder / f"{number:03d}.parquet"
        write_verdicts(file, [verdict_table(rows, "step", ["reason"] * len(rows), [""] * len(rows))])
        shards.append(replace(shard, verdicts=(*shard.verdicts, file)))
    return replace(given, shards=tuple(shards))


def ids_of(given: Pool) -> dict[int, str]:
    """Return place -> doc_id."""
    found = {}
    for number, shard in enumerate(given.shards):
        for row, doc_id in enumerate(pq.read_table(shard.annotations)["doc_id"].to_pylist()):
            found[number << ROW_BITS | row] = doc_id
    return found


def named_rows(copies: Copies) -> list[dict[str, Any]]:
    """Return for each copy its place, that of its partner, the partner's id, and the score."""
    found: list[dict[str, Any]] = []
    for number, folder in enumerate(copies.folders):
        verdicts = pq.read_table(folder / VERDICTS).to_pylist()
        for row, (place, partner) in zip(verdicts, np.load(folder / PAIRS).tolist(), strict=True):
            assert place == number << ROW_BITS | row["row"]
            found.append({"place": place, "partner": partner, "partner_id": row["partner"], "score": row["score"]})
    return found


def group_of(files: Sequence[Path], given: Pool) -> dict[int, tuple[int, str]]:
    """Return place -> (place of its group, the id that names it)."""
    tables = [read_partition(files, number) for number in range(len(given.shards))] if files else []
    return {row["place"]: (row["group"], row["group_id"]) for table in tables for row in table.to_pylist()}


def nomination_keys(text: str, language: str, config: DedupConfig, cache: dict[str, int]) -> U64:
    """Return the band keys of a text over normalised word n-grams (characters where a character is a word)."""
    hashes = word_hashes(nomination_words(text, language), cache)
    return band_keys(shingles(hashes, config.shingle), config.bands, config.rows)
