"""The spill wave: large files that can only be read from their beginning become pieces, and their units as many.

Input: the units that planning found. Output: units none of which is much longer than others, in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.engine import Part, Runner, Task
from smolforge.corpus.ingest import folder
from smolforge.corpus.ingest.remote import join, open_file
from smolforge.corpus.ingest.spill import Spilled, spill
from smolforge.corpus.ingest.units import Unit
from smolforge.corpus.verdicts import same_or_write
from smolforge.store import read_json, write_json

WAVE = "spill"
_PIECES = "pieces.json"


def spill_task(task: Task, output: Path, argument: tuple[CorpusConfig, int]) -> None:
    """Job: copy the file of one unit into pieces; into none where that killed earlier tries."""
    config, target = argument
    unit = Unit.from_json(read_json(Path(task.inputs[0].path))[task.inputs[0].first])
    output.mkdir()
    pieces = _spill(unit, config, output, target) if task.ranges else []
    write_json(output / _PIECES, [asdict(piece) | {"path": Path(piece.path).name} for piece in pieces])


def _spill(unit: Unit, config: CorpusConfig, output: Path, target: int) -> list[Spilled]:
    root = config.sources[unit.source].path
    assert root is not None, "units of files have one"
    try:
        file = open_file(join(root, unit.files[0]))
    except OSError:
        return []  # reading the unit as it is says what is wrong
    with file:
        return spill(file, unit.kind, unit.packing, output, target)


def spill_large(
    units: Sequence[Unit], config: CorpusConfig, runner: Runner, scratch: Path
) -> tuple[list[Unit], list[tuple[Unit, str]]]:
    """Return the units with those of pieces in the place of those that can be spilled, and the units that no process
    survived copying, each with what it does."""
    whole = [unit for unit in units if unit.spills]
    if not whole:
        return list(units), []
    plan = same_or_write(scratch / "spilled.json", json.dumps([unit.as_json() for unit in whole]).encode())
    tasks = [
        Task(f"file-{number:05d}", (Part(plan, number, number + 1),), 1, times=unit.times, size=unit.size)
        for number, unit in enumerate(whole)
    ]
    outputs = runner.wave(WAVE, spill_task, tasks, (config, folder.PIECE_BYTES))
    died = {each.task: each.why for each in runner.poisoned if each.wave == WAVE}
    pieces = {unit: list(_pieces(unit, output)) for unit, output in zip(whole, outputs, strict=True)}
    lost = {unit: died[output.name] for unit, output in zip(whole, outputs, strict=True) if output.name in died}
    found = [piece for unit in units if unit not in lost for piece in pieces.get(unit, [unit])]
    return found, list(lost.items())


def _pieces(unit: Unit, output: Path) -> Iterator[Unit]:
    """Yield the units of a spilled file, or the unit itself where there was nothing to copy."""
    spilled = [Spilled.from_json(row | {"path": str(output / row["path"])}) for row in read_json(output / _PIECES)]
    total = max(sum(piece.size for piece in spilled), 1)
    for piece in spilled:
        share = None if unit.max_bytes is None else -(-unit.max_bytes * piece.size // total)
        yield replace(unit, spilled=piece, ranges=((piece.first, piece.last),), max_bytes=share, size=piece.size)
    if not spilled:
        yield unit
