"""A corpus stage that is killed goes on where it was; a document that kills its process costs itself alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import read_rows
from smolforge.corpus.stage import SCRATCH, run
from smolforge.store import StageContext, digest_file

TOPICS = ("assert", "class", "exceptions", "import", "numbers", "while")
PATIENCE = 900.0  # seconds to wait for an event on a busy machine
PROGRAM = """
import json, sys
from pathlib import Path
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.stage import run
from smolforge.store import StageContext
run(CorpusConfig.model_validate(json.loads(sys.argv[1])), StageContext(Path(sys.argv[2]), {}, 7))
"""


def settings(folder: Path, **more: object) -> dict[str, object]:
    sources = [
        {"kind": "python_stdlib", "max_bytes": 100_000},
        {"kind": "folder", "path": str(folder), "name": "own"},
    ]
    return {"sources": sources, "shard_bytes": 50_000, **more}


def digests(work: Path) -> dict[str, str]:
    paths = (path for path in work.rglob("*") if path.is_file() and path.relative_to(work).parts[0] != SCRATCH)
    return {str(path.relative_to(work)): digest_file(path) for path in paths}


def outputs(work: Path) -> list[Path]:
    """Return what the waves have finished so far."""
    return [path for path in (work / SCRATCH).glob("*/*") if path.name.startswith(("unit-", "part-"))]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    for number, name in enumerate(TOPICS):
        (folder / f"note-{number}.txt").write_text(topics[name])
    return folder


@pytest.fixture(scope="module")
def whole(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("whole") / "work"
    run(CorpusConfig.model_validate(settings(own)), StageContext(work, {}, 7))
    return work


@pytest.mark.slow
@pytest.mark.parametrize("finished", [1, 9])
def test_a_killed_stage_goes_on_and_ends_with_the_same_bytes(
    own: Path, whole: Path, tmp_path: Path, finished: int
) -> None:
    work = tmp_path / "work"
    command = [sys.executable, "-c", PROGRAM, json.dumps(settings(own, workers=2)), str(work)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + PATIENCE
    while len(outputs(work)) < finished and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait(PATIENCE)
    before = {path: path.stat().st_mtime_ns for path in outputs(work)}
    assert len(before) >= finished
    run(CorpusConfig.model_validate(settings(own)), StageContext(work, {}, 7))
    assert digests(work) == digests(whole)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished outputs were made again"


def test_a_finished_stage_that_runs_again_makes_no_output_anew(own: Path, whole: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in outputs(whole)}
    found = digests(whole)
    run(CorpusConfig.model_validate(settings(own, workers=2)), StageContext(whole, {}, 7))
    assert digests(whole) == found
    assert {path: path.stat().st_mtime_ns for path in outputs(whole)} == before


def tell_poisoned(output: Path, item: int, why: str) -> None:
    """Leave a finished task as the engine leaves one whose item killed its process: the item listed, nothing done."""
    shutil.rmtree(output)
    output.with_name(f"{output.name}.poisoned.json").write_text(json.dumps([{"item": item, "why": why}]))


@pytest.mark.slow
def test_what_no_process_survived_ends_in_the_dropped_table(own: Path, tmp_path: Path) -> None:
    config = CorpusConfig.model_validate({"sources": [str(own)]})
    work = tmp_path / "work"
    run(config, StageContext(work, {}, 7))
    tell_poisoned(work / SCRATCH / "read" / "unit-00000", 2, "its process died of SIGSEGV")
    run(config, StageContext(work, {}, 7))
    tell_poisoned(work / SCRATCH / "finish" / "part-00000", 3, "ran longer than 5 s")
    run(config, StageContext(work, {}, 7))
    columns = ("url", "step", "detail")
    rows = [row for path in (work / "dropped").iterdir() for row in read_rows(path, columns)]
    assert {row["url"]: row["detail"] for row in rows if row["step"] == "poisoned"} == {
        "file:note-2.txt": "its process died of SIGSEGV",
        "file:note-4.txt": "ran longer than 5 s",  # the fourth of what could be read
    }
    funnel = json.loads((work / "funnel.json").read_text())
    assert sum(row["documents_in"] for row in funnel if row["step"] == "ingest") == len(list(own.iterdir()))
    assert sum(row["documents_in"] for row in funnel if row["step"] == "poisoned" and row["reason"]) == 2
