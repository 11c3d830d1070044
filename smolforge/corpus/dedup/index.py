"""A saved index of what a corpus keeps, so that later data is deduplicated against it without its texts.

Input: kept documents. Output: a folder with ``index.json`` (format, version, settings, digests) and Parquet tables:
doc_id, source, rank, characters, fingerprint, band keys, and the shingles and words that decide. The dedup steps take
such folders as ``indexes``: their documents stay, and what a new document repeats is named ``NAME:DOC_ID``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.near_texts import print_columns, print_of, texts_of
from smolforge.corpus.dedup.tables import (
    INDEX_FILE,
    Pool,
    Waves,
    alive_rows,
    index_parts,
    read_columns,
    shard_tasks,
)
from smolforge.corpus.engine.task import Task
from smolforge.errors import DataError, FormatError
from smolforge.store import digest_file, read_json, write_json

FORMAT, VERSION_OF_FORMAT = "smolforge dedup index", 1
_ROWS = 1024  # a row group
_SETTINGS = ("bands", "rows", "shingle")


@dataclass(frozen=True)
class IndexArgument:
    """What the job of the wave ``index`` needs besides the shard."""

    sources: tuple[str, ...]


def write_index(pool: Pool, folder: Path, name: str, config: DedupConfig, runner: Waves) -> None:
    """Save the alive documents of a pool as the index ``name``. DataError if the folder holds something else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / INDEX_FILE).is_file():
        raise DataError(f"{folder}: not empty and no dedup index; name another folder to write the index to")
    tables = runner.wave("index", index_job, shard_tasks(pool, ()), IndexArgument(pool.sources))
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    parts = [Path(shutil.copyfile(table, folder / f"{table.name}.parquet")) for table in tables]
    value = {"format": FORMAT, "version": VERSION_OF_FORMAT, "name": name}
    value |= {"settings": {key: getattr(config, key) for key in _SETTINGS}}
    write_json(folder / INDEX_FILE, value | {"parts": {part.name: digest_file(part) for part in parts}})


def index_job(task: Task, output: Path, argument: IndexArgument) -> None:
    """Job: write one shard's alive documents as a table of the index."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    table = read_columns(task.inputs[0].path, ("doc_id", "source", "characters", "fingerprint", "keys", "label"))
    rows = alive_rows(task, table.num_rows)
    table = table.take(pa.array(rows))
    ranks = {source: rank for rank, source in enumerate(argument.sources)}
    texts = zip(texts_of(task.inputs[1].path, rows.astype(np.int64)), table["label"].to_pylist(), strict=True)
    columns: dict[str, Any] = {
        "rank": pa.array([ranks[source] for source in table["source"].to_pylist()], pa.uint32()),
        **print_columns([print_of(text, label) for text, label in texts]),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    table = table.drop_columns(["label", "subjects"])
    pq.write_table(table, output, row_group_size=_ROWS, compression="zstd", compression_level=3)


def check_index(folder: Path, config: DedupConfig) -> str:
    """Return an index's name. FormatError if it is none, torn or altered; DataError if its settings are not these."""
    file = folder / INDEX_FILE
    if not file.is_file():
        raise DataError(f"{folder}: no dedup index there ({INDEX_FILE} is missing)")
    value = read_json(file)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FormatError(f"{file}: not a dedup index")
    if value.get("version") != VERSION_OF_FORMAT:
        raise FormatError(
            f"{file}: version {value.get('version')} of the format, this program reads {VERSION_OF_FORMAT}"
        )
    for key, expected in value["settings"].items():
        if getattr(config, key) != expected:
            raise DataError(
                f"{folder}: made with corpus.dedup.{key} {expected}, this run has {getattr(config, key)}; "
                f"set it to {expected}, or build the index again"
            )
    found = {part.name: digest_file(part) for part in index_parts(folder)}
    for name, digest in value["parts"].items():
        if found.get(name) != digest:
            raise FormatError(
                f"{folder / name}: {'altered since the index was written' if name in found else 'missing'}"
            )
    return str(value["name"])
