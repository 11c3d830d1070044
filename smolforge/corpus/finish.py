"""The finish wave: the second and last read of the text, which changes what stays.

Input: a shard of documents, its labels, and the verdicts so far. Output: a folder with the final texts (``texts``), the
bytes of each document after every step that changes text and what those steps did (``sizes``), and ``verdicts``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, read_documents, read_rows
from smolforge.corpus.engine import Task
from smolforge.corpus.funnel import EDITS
from smolforge.corpus.pii import mask
from smolforge.corpus.split import draw
from smolforge.corpus.verdicts import alive, write_verdicts

TEXTS, SIZES, VERDICTS = "texts.parquet", "sizes.parquet", "verdicts.parquet"


@dataclass(frozen=True)
class FinishArgument:
    """What ``finish_shard`` needs besides the shard; ``seed`` is that of the draws for the division."""

    config: CorpusConfig
    seed: int


@dataclass
class _Finished:
    """Columns of what was finished: ``sizes`` row for row the bytes after each of ``EDITS``."""

    rows: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    doc_ids: list[str] = field(default_factory=list)


def finish_shard(task: Task, output: Path, argument: FinishArgument) -> None:
    """Job: finish one shard. Inputs: documents, annotations, then the shard's verdict files of the steps before."""
    documents, annotations, *verdicts = (Path(part.path) for part in task.inputs)
    passes = alive(verdicts, task.inputs[0].last)
    labels = (row["label"] for row in read_rows(annotations, ("label",)))
    done = _Finished()
    for row, (document, label) in enumerate(zip(read_documents(documents), labels, strict=True)):
        if passes[row] and row in task:
            text, sizes, changes = _edit(document, label, argument.config)
            done.rows.append(row)
            done.texts.append(text)
            done.sizes.append(sizes)
            done.changes.append(json.dumps(changes, sort_keys=True) if changes else "")
            done.doc_ids.append(document.doc_id)
    output.mkdir()
    _write(output, done, argument.seed)
    write_verdicts(output / VERDICTS, ())


def _edit(document: Document, label: str, config: CorpusConfig) -> tuple[str, tuple[int, ...], dict[str, Any]]:
    """Return the final text, its bytes after each step, and what was done to it: an entry for ``meta`` a step."""
    text, counts = mask(document.text, label, config.pii.kinds)
    return text, (document.bytes, document.bytes, len(text.encode())), ({"masked": counts} if counts else {})


def _write(output: Path, done: _Finished, seed: int) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    rows = pa.array(done.rows, pa.uint32())
    sizes: Mapping[str, Any] = {
        f"bytes_{step}": pa.array([size[at] for size in done.sizes], pa.int64()) for at, step in enumerate(EDITS)
    }
    draws = {
        f"draw_{purpose}": pa.array([draw(seed, doc_id, purpose) for doc_id in done.doc_ids], pa.float64())
        for purpose in ("held_out", "budget")
    }
    texts = pa.table({"row": rows, "text": pa.array(done.texts, pa.string())})
    pq.write_table(texts, output / TEXTS, compression="zstd", compression_level=3)
    table = pa.table({"row": rows, **sizes, **draws, "changes": pa.array(done.changes, pa.string())})
    pq.write_table(table, output / SIZES, compression="zstd", compression_level=3)
