"""A thousand hostile inputs through one run of the corpus stage, good documents between them.

Every good document comes out unchanged, every hostile input is accounted for by its name, and no worker takes more
memory than the configuration allows. What cannot be a source at all is an error that says where.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import DROP_FIELDS, FIELDS, read_rows
from smolforge.corpus.ingest import Ledger, units
from smolforge.errors import SmolforgeError
from smolforge.store import read_json
from tests.corpus.hostile import archives, lines, pages, places, tables
from tests.corpus.hostile.common import DROPPED, NOTHING, POISONED, PROBLEM, TEXT, Hostile, good_text

MEMORY_MIB = 512
PYTHON_MIB = 450  # what Python, Arrow and the models of a worker hold before its limit begins to count
PATIENCE = 1800.0
FAMILIES: tuple[Callable[[], Iterator[Hostile]], ...] = (
    archives.inputs,
    pages.inputs,
    lines.inputs,
    tables.inputs,
    places.inputs,
)
STAGE = """
import json, resource, sys
from pathlib import Path
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.stage import run
from smolforge.store import StageContext
run(CorpusConfig.model_validate(json.loads(sys.argv[1])), StageContext(Path(sys.argv[2]), {}, 0))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
FEW = 11  # the short run takes one of so many


class Ward:
    """Hostile inputs written below a folder, a source a family, with good documents beside them."""

    def __init__(self, root: Path) -> None:
        self.root, self.inputs = root, list[Hostile]()
        self.sources: list[dict[str, str]] = []
        self.good: dict[str, str] = {}  # text to who says it

    def add(self, inputs: Iterable[Hostile]) -> None:
        """Write inputs, each to the folder of its family, and a good document after every tenth."""
        for number, each in enumerate(inputs):
            folder = self.root / each.family
            if not folder.is_dir():
                folder.mkdir(parents=True)
                self.sources.append({"kind": "folder", "path": str(folder), "name": each.family})
            each.write(folder / each.name)
            self._take(each)
            if number % 10 == 0:
                text = good_text(f"beside {each.family} {number}")
                (folder / f"good-{number:04d}.txt").write_text(text)
                self.good[text] = f"{each.family}/good-{number:04d}.txt"

    def _take(self, each: Hostile) -> None:
        self.inputs.append(each)
        self.good |= dict.fromkeys(each.good, f"{each.family}/{each.name}")

    def add_sources(self) -> None:
        """Write a checkout and datasets that set traps."""
        for each in places.checkouts(self.root / "trap" / "checkout"):
            self._take(each)
        self.sources.append({"kind": "git", "path": str(self.root / "trap" / "checkout"), "name": "checkout"})
        for name, card in places.CARDS.items():
            text = places.dataset(self.root / "cards" / name, card)
            self.sources.append({"kind": "dataset", "path": str(self.root / "cards" / name), "name": name})
            self._take(Hostile(name, "data.jsonl", lambda path: None, frozenset({TEXT}), (text,)))
        for name in places.torn_saved(self.root / "saved"):
            self.sources.append({"kind": "dataset", "path": str(self.root / "saved" / name), "name": name})
            self._take(Hostile(name, "data-00000-of-00001.arrow", lambda path: None))


class Result:
    """What a run of the stage over a ward left."""

    def __init__(self, ward: Ward, work: Path, peak_mib: int) -> None:
        self.ward, self.peak_mib = ward, peak_mib
        self.kept = [row for name in ("kept", "held_out") for row in _rows(work / name, FIELDS)]
        self.dropped = _rows(work / "dropped", (*FIELDS, *DROP_FIELDS))
        self.problems = {
            (source["name"], each["path"]) for source in read_json(work / "sources.json") for each in source["problems"]
        }
        names: dict[str, set[str]] = defaultdict(set)
        for each in ward.inputs:
            names[each.family].add(each.name)
        self._names = names

    def outcomes(self) -> dict[tuple[str, str], set[str]]:
        """Return what became of each hostile input, by its family and name; good texts in it do not count."""
        found: dict[tuple[str, str], set[str]] = {(each.family, each.name): set() for each in self.ward.inputs}
        for row in self.kept + self.dropped:
            step, inside = row.get("step", ""), (row["source"], self._input(row))
            if inside in found and (row["text"] not in self.ward.good or self._is_whole(inside)):
                found[inside].add(POISONED if step == "poisoned" else DROPPED if step else TEXT)
        for name in self.problems & set(found):
            found[name].add(PROBLEM)
        return found

    def _is_whole(self, name: tuple[str, str]) -> bool:
        """Return whether the good text of an input is all that there is of it: only its name is hostile."""
        return next(each for each in self.ward.inputs if (each.family, each.name) == name).may == {TEXT}

    def _input(self, row: dict[str, Any]) -> str:
        """Return the name of the input that a row is of, by where it was read."""
        place = str(json.loads(row["meta"] or "{}").get("place", row["url"])).removeprefix("file:")
        names = self._names[row["source"]]
        while place and place not in names:
            place = place[: max(place.rfind("#"), place.rfind("+"), 0)]
        return place


def _rows(folder: Path, columns: Iterable[str]) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.iterdir()) for row in read_rows(path, tuple(columns))]


def build(ward: Ward, work: Path) -> Result:
    """Run the stage in a process of its own, with two workers."""
    config = {
        "sources": ward.sources,
        "languages": ["en"],
        "held_out": 0,
        "workers": 2,
        "memory_mib": MEMORY_MIB,
        "task_timeout": 300,
        "extract": {"seconds": 2, "memory_mib": 256},
        "shard_bytes": 8_000_000,
    }
    command = [sys.executable, "-c", STAGE, json.dumps(config), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-3000:]
    return Result(ward, work, int(done.stdout))


def check(result: Result) -> Counter[str]:
    """Check that nothing is lost and all is accounted for; return how many inputs came to each end."""
    texts = {row["text"] for row in result.kept}
    lost = [who for text, who in result.ward.good.items() if text not in texts]
    assert not lost, f"{len(lost)} good documents are gone: {lost[:20]}"
    outcomes = result.outcomes()
    wrong = {
        f"{each.family}/{each.name}": sorted(found) or NOTHING
        for each in result.ward.inputs
        if not (found := outcomes[each.family, each.name]) & each.may and not (not found and NOTHING in each.may)
    }
    assert not wrong, f"{len(wrong)} inputs came to another end: {dict(list(wrong.items())[:30])}"
    assert result.peak_mib < PYTHON_MIB + MEMORY_MIB
    order = (POISONED, PROBLEM, DROPPED, TEXT)
    return Counter(next((end for end in order if end in found), NOTHING) for found in outcomes.values())


def test_a_hundred_hostile_inputs_end_as_records_and_the_good_documents_stay(tmp_path: Path) -> None:
    ward = Ward(tmp_path / "in")
    for family in FAMILIES:
        ward.add([each for each in family() if not each.heavy][::FEW])
    ends = check(build(ward, tmp_path / "work"))
    assert ends.total() == len(ward.inputs) >= 100


@pytest.mark.slow
def test_a_thousand_hostile_inputs_end_as_records_and_the_good_documents_stay(tmp_path: Path) -> None:
    ward = Ward(tmp_path / "in")
    for family in FAMILIES:
        ward.add(family())
    ward.add_sources()
    assert len({(each.family, each.name) for each in ward.inputs}) == len(ward.inputs) >= 1000
    result = build(ward, tmp_path / "work")
    ends = check(result)
    print(dict(ends), result.peak_mib, "MiB")
    assert ends.total() == len(ward.inputs)
    assert ends[PROBLEM] > 400, "torn and lying files are reported"
    assert not any(places.OUTSIDE in row["text"] for row in result.kept + result.dropped), "read outside its folder"


def test_what_cannot_be_a_source_is_an_error_that_names_it(tmp_path: Path) -> None:
    for kind, path in places.refused(tmp_path):
        config = CorpusConfig.model_validate({"sources": [{"kind": kind, "path": str(path)}]})
        with pytest.raises(SmolforgeError, match=path.name):
            units(config, Ledger())
