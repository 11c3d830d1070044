"""From waves to an artifact: parts that the waves wrote get their places in the stage's folder.

Input: outputs of the waves below ``scratch``. Output: tables with their parts numbered, annotations, verdicts, changes
and samples. Files are linked, so a stage that is killed here finds everything again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from smolforge.corpus.divide import TABLES, Sample, smallest
from smolforge.corpus.document import DROP_FIELDS, FIELDS, write_table
from smolforge.corpus.finish import SIZES
from smolforge.corpus.shards import Shards
from smolforge.store import write_atomic


def publish(
    work: Path,
    shards: Shards,
    verdicts: Mapping[str, Sequence[Path]],
    finished: Sequence[Path],
    divided: Sequence[Path],
) -> None:
    """Give every file that the artifact keeps its place below ``work``; what was there under these names goes."""
    for name in (*TABLES, "annotations", "verdicts", "changes"):
        shutil.rmtree(work / name, ignore_errors=True)
    for name in TABLES:
        _table(work / name, [folder / f"{name}.parquet" for folder in divided], name)
    for shard, folder in zip(shards, finished, strict=True):
        _link(shard.annotations, work / "annotations" / f"{shard.name}.parquet")
        _link(folder / SIZES, work / "changes" / f"{shard.name}.parquet")
        for step, paths in verdicts.items():
            _link(paths[shard.number], work / "verdicts" / step / f"{shard.name}.parquet")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _samples(divided))
    write_atomic(work / "samples.jsonl", "".join(lines).encode())


def _table(folder: Path, parts: Sequence[Path], name: str) -> None:
    """Number the parts that there are; a table without any has one empty part."""
    folder.mkdir(parents=True)
    found = [part for part in parts if part.is_file()]
    for number, part in enumerate(found):
        _link(part, folder / f"part-{number:05d}.parquet")
    if not found:
        write_table(folder / "part-00000.parquet", [], (*FIELDS, *DROP_FIELDS) if name == "dropped" else FIELDS)


def _link(file: Path, place: Path) -> None:
    """Link a file, or copy it where the file system has no links."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def _samples(divided: Sequence[Path]) -> Iterator[dict[str, object]]:
    """Yield the samples of all shards with the smallest draws of each reason."""
    kept: list[Sample] = []
    for folder in divided:
        file = folder / "samples.jsonl"
        if file.is_file():
            with file.open(encoding="utf-8", newline="\n") as lines:  # U+0085 in a text ends no row
                kept = smallest([*kept, *((row["draw"], row, 0) for row in map(json.loads, lines))])
    for _, row, _ in kept:
        yield {name: value for name, value in row.items() if name != "draw"}
