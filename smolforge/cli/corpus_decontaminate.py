"""`smolforge corpus decontaminate`: which documents hold questions of which benchmark; the report goes to stdout."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smolforge.corpus.contamination.index import ContaminationIndex
    from smolforge.corpus.contamination.search import Contamination

_BATCH = 512  # documents that are held at a time
_COLUMNS = {
    "doc_id": "text", "benchmark": "text", "item": "text", "score": "number", "required": "number", "parts": "text",
    "length": "integer", "begin": "integer", "end": "integer", "text": "text",
}  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verb's arguments."""
    parser.add_argument("documents", type=Path, metavar="FOLDER", help="document tables, like a corpus stage's 'kept'")
    parser.add_argument("--benchmarks", type=Path, required=True, metavar="FOLDER", help="tables of benchmarks")
    parser.add_argument(
        "--index", type=Path, metavar="FILE", help="keep the index here; taken while it fits the folder"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the matches (.parquet, .jsonl or .csv)")
    parser.add_argument("--json", action="store_true", help="the table as JSON")


def run(options: argparse.Namespace) -> int:
    """Search every document, write the matches, show what was found of each benchmark."""
    from smolforge.corpus.contamination.report import as_json, as_text, benchmark_rows
    from smolforge.corpus.contamination.search import Contamination
    from smolforge.corpus.scoring.config import DecontaminationConfig
    from smolforge.store.tables import replace_rows, suffix

    if options.output is not None:
        suffix(options.output)
    index = _index(options.benchmarks, options.index)
    search = Contamination(index, DecontaminationConfig(benchmarks=str(options.benchmarks)))
    found: list[dict[str, Any]] = []
    documents = 0
    for count, matches in _searched(options.documents, search):
        documents += count
        found += matches
    rows = benchmark_rows(index, ((m["doc_id"], m["benchmark"], m["item"]) for m in found), documents)
    if options.output is not None:
        replace_rows(options.output, found, _COLUMNS)  # type: ignore[arg-type]
    print(json.dumps(as_json(rows), indent=1) if options.json else as_text(rows))
    held = len({match["doc_id"] for match in found})
    print(f"{held} of {documents} documents hold at least one of {len(index.names)} items", file=sys.stderr)
    return 0


def _index(folder: Path, kept: Path | None) -> ContaminationIndex:
    """Return the index of a folder; one that was kept is taken where it was made of the same items."""
    from smolforge.corpus.contamination.index import ContaminationIndex, build, items_digest
    from smolforge.corpus.contamination.pack import read_pack

    items = read_pack(folder)
    if kept is not None and kept.is_file():
        index = ContaminationIndex.load(kept)
        if index.digest == items_digest(items):
            return index
    index = build(items)
    if kept is not None:
        index.save(kept)
    return index


def _searched(folder: Path, search: Contamination) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield for every few documents their number and their matches as rows."""
    from dataclasses import asdict

    from smolforge.corpus.document import read_documents

    documents = read_documents(folder)
    while batch := list(islice(documents, _BATCH)):
        matches = search.check_all([document.text for document in batch])
        rows = [
            {"doc_id": document.doc_id, **asdict(match)}
            for document, own in zip(batch, matches, strict=True)
            for match in own
        ]
        yield len(batch), rows
