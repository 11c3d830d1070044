"""The texts of nominated documents as shingles, sorted into bundles: the one time that near dedup reads texts.

Input: a shard and its rows of the table of nominated documents. Output: a partitioned table, a bundle a partition, in
which documents stand in keep order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.minhash import U64, shingles, word_hashes
from smolforge.corpus.dedup.near_component import INDEXED, U32
from smolforge.corpus.dedup.shuffle import write_partitions
from smolforge.corpus.dedup.tables import ROW_BITS, part_number, read_columns
from smolforge.corpus.engine.task import Part, Task, kept_batches
from smolforge.corpus.text.words import words

_BATCH_BYTES = 1 << 20  # of shingles in one batch: a reader of many shards holds one batch of each
_SUBJECT_TIMES, _SUBJECT_SHARE = 2, 0.01
_VERIFY_WORDS, _VERIFY_CHARACTERS = 3, 5  # shingle sizes for spaced text, and for text with one word a character
UNSPACED = ("zh",)
KEEP_ORDER = ("component", "tier", "-characters", "source", "doc_id")  # of the table's rows in a bundle


@dataclass(frozen=True)
class TextsArgument:
    """``shards``: how many are the corpus' own, the others are of a saved index."""

    shards: int
    sources: tuple[str, ...]
    ahead: tuple[str, ...]
    config: DedupConfig


@dataclass(frozen=True)
class Print:
    """What verification compares of a text, uint32, sorted and distinct: ``shingles``; all ``words``; and ``subjects``,
    the words that make up a hundredth of it and stand there twice at least."""

    shingles: U32
    words: U32
    subjects: U32


def print_of(text: str, language: str) -> Print:
    """Return what verification compares: lower-cased words, in 3-grams (zh: 5-grams of characters)."""
    found = word_hashes(words(text.lower(), language), {})
    size = _VERIFY_CHARACTERS if language in UNSPACED else _VERIFY_WORDS
    distinct, counts = np.unique(_upper(found), return_counts=True)
    often = counts >= max(_SUBJECT_TIMES, _SUBJECT_SHARE * len(found))
    return Print(np.unique(_upper(shingles(found, size))), distinct, distinct[often])


def print_columns(prints: Sequence[Print]) -> dict[str, Any]:
    """Return the columns that hold prints."""
    import pyarrow as pa  # type: ignore[import-untyped]

    kind = pa.list_(pa.uint32())
    return {
        name: pa.array([getattr(each, name) for each in prints], kind) for name in ("shingles", "words", "subjects")
    }


def _upper(hashes: U64) -> U32:
    """Return the upper 32 bits. Half the bytes; a text of 100,000 shingles seems to hold a foreign one with probability
    1 in 43,000."""
    return (hashes >> np.uint64(32)).astype(np.uint32)


def texts_job(task: Task, output: Path, argument: TextsArgument) -> None:
    """Job: write a shard's nominated documents; the last input is their part of the table of nominated documents."""
    import pyarrow as pa

    chosen = task.inputs[-1]
    place, component, bundle = np.load(chosen.path, mmap_mode="r")[chosen.first : chosen.last].T.copy()
    rows = (place & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)
    own = part_number(task.name) < argument.shards
    columns = _of_shard(task, rows, argument) if own else _of_index(task, rows)
    columns |= {"component": component.astype(np.int64), "place": place}
    order = sorted(range(len(rows)), key=_by_order(bundle.astype(np.int64), columns))
    table = pa.table(columns).take(pa.array(order, pa.int64()))
    largest = max((len(each) for each in columns["shingles"]), default=1)
    write_partitions(output, table, bundle.astype(np.int64)[order], max(1, _BATCH_BYTES // max(1, 4 * largest)))


def _by_order(bundle: NDArray[np.int64], columns: dict[str, Any]) -> Any:
    component, tier = columns["component"].tolist(), columns["tier"].tolist()
    characters, source, doc_id = (columns[name].to_pylist() for name in ("characters", "source", "doc_id"))
    bundles = bundle.tolist()
    return lambda row: (bundles[row], component[row], tier[row], -characters[row], source[row], doc_id[row])


def _of_shard(task: Task, rows: NDArray[np.int64], argument: TextsArgument) -> dict[str, Any]:
    import pyarrow as pa

    names = ("doc_id", "source", "characters", "label", "keys")
    table = read_columns(task.inputs[0].path, names).take(pa.array(rows))
    ranks = {source: rank for rank, source in enumerate(argument.sources)}
    source = table["source"].to_pylist()
    tier = [1 if name in argument.ahead else 2 for name in source]
    labels = table["label"].to_pylist()
    texts = texts_of(task.inputs[1].path, rows)
    prints = [print_of(text, label) for text, label in zip(texts, labels, strict=True)]
    return {
        "doc_id": table["doc_id"],
        "characters": table["characters"],
        "source": pa.array([ranks[name] for name in source], pa.uint32()),
        "tier": np.array(tier, np.uint8),
        "keys": table["keys"],
        **print_columns(prints),
    }


def _of_index(task: Task, rows: NDArray[np.int64]) -> dict[str, Any]:
    import pyarrow as pa

    names = ("doc_id", "rank", "characters", "keys", "shingles", "words")
    table = read_columns(task.inputs[0].path, names).take(pa.array(rows))
    return {
        "doc_id": table["doc_id"],
        "characters": table["characters"],
        "source": table["rank"],
        "tier": np.full(len(rows), INDEXED, np.uint8),
        "keys": table["keys"],
        "shingles": table["shingles"],
        "words": table["words"],
        "subjects": pa.array([[]] * len(rows), pa.list_(pa.uint32())),
    }


def texts_of(path: Path | str, rows: NDArray[np.int64]) -> Iterator[str]:
    """Yield the texts of a document table's rows, ascending; row groups without any are not read."""
    import pyarrow as pa

    if not len(rows):
        return
    ranges = _runs(rows)
    task = Task("texts", (), int(rows[-1]) + 1, ranges)
    for _, batch in kept_batches(task, Part(path, 0, int(rows[-1]) + 1), ["text"], rows=256):
        yield from (str(text) for text in pa.array(batch["text"]).to_pylist())


def _runs(rows: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    pieces: Sequence[NDArray[np.int64]] = np.split(rows, breaks)
    return tuple((int(piece[0]), int(piece[-1]) + 1) for piece in pieces)
