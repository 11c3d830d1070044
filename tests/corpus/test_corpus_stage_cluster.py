"""The whole stage on a Ray cluster of several processes, and in a pool: same bytes, whichever process is killed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics

import pytest

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.stage import run
from smolforge.store import StageContext
from tests.corpus.test_corpus_stage_restart import PROGRAM, TOPICS, digests, outputs, settings

pytestmark = pytest.mark.slow
PATIENCE = 900.0  # seconds to wait for an event on a busy machine
STEPS = {"line_dedup": {}, "substring_dedup": {}, "line_rules": {}, "save_index": "first"}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
WORKERS = {"pool": "engine.child_main", "ray": "ray::_perform"}  # how a worker's command line tells it


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    for number, name in enumerate(TOPICS):
        (folder / f"note-{number}.txt").write_text(topics[name])
    (folder / "again.txt").write_text(topics[TOPICS[0]] + "\n")
    return folder


@pytest.fixture(scope="module")
def whole(own: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the digests of what one worker of this machine makes."""
    work = tmp_path_factory.mktemp("whole") / "work"
    run(CorpusConfig.model_validate(settings(own, **STEPS)), StageContext(work, {}, 7))
    return digests(work)


def start(own: Path, work: Path, where: str) -> subprocess.Popen[bytes]:
    """Run the stage in a process of its own, with two workers."""
    place = {"cluster": "auto"} if where == "ray" else {}
    given = settings(own, workers=2, **STEPS, **place)
    return subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps(given), str(work)])


def until(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the stage ended before it could be disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def descendants(root: int) -> Iterator[tuple[int, str]]:
    """Yield process id and command line of all that a process started, and those started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = list(children.get(root, []))
    for pid in found:
        found += children.get(pid, [])
        with contextlib.suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")


@needs_ray
def test_a_cluster_makes_the_same_bytes(own: Path, whole: dict[str, str], tmp_path: Path) -> None:
    assert start(own, tmp_path / "work", "ray").wait(PATIENCE) == 0
    assert digests(tmp_path / "work") == whole


@pytest.mark.parametrize("where", ["pool", pytest.param("ray", marks=needs_ray)])
def test_a_worker_killed_in_the_middle_costs_no_byte(
    own: Path, whole: dict[str, str], tmp_path: Path, where: str
) -> None:
    work = tmp_path / "work"
    process = start(own, work, where)

    def kill_one() -> bool:
        workers = [pid for pid, command in descendants(process.pid) if WORKERS[where] in command]
        for pid in workers[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    until(lambda: outputs(work), process)
    until(kill_one, process)
    assert process.wait(PATIENCE) == 0
    assert digests(work) == whole


@needs_ray
def test_a_driver_killed_on_a_cluster_goes_on_where_it_was(own: Path, whole: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    process = start(own, work, "ray")
    until(lambda: len(outputs(work)) >= 5, process)
    process.kill()
    process.wait(PATIENCE)
    before = {path: path.stat().st_mtime_ns for path in outputs(work)}
    assert start(own, work, "ray").wait(PATIENCE) == 0
    assert digests(work) == whole
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished outputs were made again"
