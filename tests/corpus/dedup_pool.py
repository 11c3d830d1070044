"""Shards for tests of dedup: documents with the columns that dedup reads, and a runner in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smolforge.corpus.config import DedupConfig, EngineConfig
from smolforge.corpus.dedup.exact import fingerprint
from smolforge.corpus.dedup.minhash import U64, band_keys, shingles, word_hashes
from smolforge.corpus.dedup.tables import ROW_BITS, ROW_MASK, Copies, Pool, Shard, names_of
from smolforge.corpus.engine.inline import InlineLauncher
from smolforge.corpus.engine.wave import Runner
from smolforge.corpus.text.words import nomination_words
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
    shard = Shard(folder / "annotations.parquet", folder / "documents.parquet")
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


def with_masks(given: Pool, folder: Path, gone: set[int]) -> Pool:
    """Return the pool without the documents at some places."""
    shards = []
    for number, shard in enumerate(given.shards):
        mask = np.ones(pq.read_metadata(shard.annotations).num_rows, np.bool_)
        mask[[place & ROW_MASK for place in gone if place >> ROW_BITS == number]] = False
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{number:03d}.npy", mask)
        shards.append(Shard(shard.annotations, shard.documents, folder / f"{number:03d}.npy"))
    return Pool(tuple(shards), given.sources, given.ahead)


def ids_of(given: Pool) -> dict[int, str]:
    """Return place -> doc_id."""
    found = {}
    for number, shard in enumerate(given.shards):
        for row, doc_id in enumerate(pq.read_table(shard.annotations)["doc_id"].to_pylist()):
            found[number << ROW_BITS | row] = doc_id
    return found


def named_rows(copies: Copies, given: Pool, indexes: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """Return the rows of a table of copies, each with the id of its partner."""
    partners = copies.table["partner"].to_numpy()
    names = names_of(partners, given, indexes).of(partners)
    return [row | {"partner_id": name} for row, name in zip(copies.table.to_pylist(), names, strict=True)]


def nomination_keys(text: str, language: str, config: DedupConfig, cache: dict[str, int]) -> U64:
    """Return the band keys of a text over normalised word n-grams (characters where a character is a word)."""
    hashes = word_hashes(nomination_words(text, language), cache)
    return band_keys(shingles(hashes, config.shingle), config.bands, config.rows)
