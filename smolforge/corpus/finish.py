"""The finish wave: the second and last read of the text, which changes what stays.

Input: a shard of documents, its labels, and the verdicts so far. Output: a folder with the final texts (``texts``), the
bytes of each document after every step that changes text and what those steps did (``sizes``), ``verdicts`` of those
that a step stopped, and ``matches`` with benchmarks.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smolforge.corpus.dedup.tables import part_number, row_count
from smolforge.corpus.document import Document, read_documents, read_rows
from smolforge.corpus.edit import Edited, Editor, EditPlan
from smolforge.corpus.engine import Task
from smolforge.corpus.funnel import EDITS
from smolforge.corpus.split import draw
from smolforge.corpus.verdicts import VERDICTS, alive, verdict_table, write_verdicts
from smolforge.store import write_json

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

TEXTS, SIZES, MATCHES = "texts.parquet", "sizes.parquet", "matches.json"
_BATCH = 256  # documents edited at once


@dataclass(frozen=True)
class FinishArgument:
    """What ``finish_shard`` needs besides the shard; ``seed`` is that of the draws for the division."""

    plan: EditPlan
    seed: int


def finish_shard(task: Task, output: Path, argument: FinishArgument) -> None:
    """Job: finish one shard. Inputs: documents, annotations, then the shard's verdict files of the steps before."""
    documents, annotations, *verdicts = (Path(part.path) for part in task.inputs)
    passes = alive(verdicts, task.inputs[0].last)
    chosen = (each for each in _documents(documents, annotations) if passes[each[0]] and each[0] in task)
    editor = Editor(argument.plan, part_number(task.name))
    done: list[Edited] = []
    while batch := list(itertools.islice(chosen, _BATCH)):
        done += editor.edit(batch)
    output.mkdir()
    write(output, done, argument.seed)


def _documents(documents: Path, annotations: Path) -> Iterator[tuple[int, Document, str]]:
    """Yield row, document and label."""
    labels = (row["label"] for row in read_rows(annotations, ("label",)))
    for row, (document, label) in enumerate(zip(read_documents(documents), labels, strict=True)):
        yield row, document, label


def write(output: Path, done: Sequence[Edited], seed: int) -> None:
    """Write the four files of a finished shard."""
    stays = [each for each in done if each.verdict is None]
    _write(output / TEXTS, {"row": _rows(stays), "text": [each.text for each in stays]})
    sizes = {f"bytes_{step}": [each.sizes[at] for each in done] for at, step in enumerate(EDITS)}
    draws = {f"draw_{name}": [draw(seed, each.doc_id, name) for each in done] for name in ("held_out", "budget")}
    changes = [json.dumps(each.changes, sort_keys=True) if each.changes else "" for each in done]
    stopped = [each.verdict is not None for each in done]
    _write(output / SIZES, {"row": _rows(done), **sizes, **draws, "changes": changes, "stopped": stopped})
    verdicts = ((each.row, each.verdict) for each in done if each.verdict is not None)
    write_verdicts(output / VERDICTS, (verdict_table([row], v.step, [v.reason], [v.detail]) for row, v in verdicts))
    write_json(output / MATCHES, [[each.doc_id, *match] for each in done for match in each.matches])


def has_survivors(folder: Path) -> bool:
    """Return whether a document of a finished shard stays."""
    return row_count(folder / TEXTS) > 0


def _rows(done: Sequence[Edited]) -> list[int]:
    return [each.row for each in done]


def _write(path: Path, columns: dict[str, list[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    table = pa.table(columns, schema=pa.schema([(name, _type(name)) for name in columns]))
    pq.write_table(table, path, compression="zstd", compression_level=3)


def _type(name: str) -> pa.DataType:
    import pyarrow as pa

    types = {"row": pa.uint32(), "text": pa.string(), "changes": pa.string(), "stopped": pa.bool_()}
    return types.get(name, pa.float64() if name.startswith("draw") else pa.int64())
