"""The same jobs on a real Ray cluster of several processes: same bytes, whichever of them is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import corpus_engine_jobs as jobs
import pytest
from test_corpus_engine_waves import ROWS, check_killed_driver, config, contents, inline, table, tasks

from smolforge.corpus.engine import Runner, Task
from smolforge.corpus.engine.launcher import Launcher
from smolforge.store import QuietProgress

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Launcher]:
    from smolforge.corpus.engine.ray_cluster import RayLauncher

    with mock.patch.dict(os.environ):  # Ray leaves its settings there, for tests that come after these
        launcher = RayLauncher("auto", 2, memory_mib=256, recycle_after=8)
        yield launcher
        launcher.close()


def runner(folder: Path, cluster: Launcher) -> Runner:
    return Runner(folder, config(), QuietProgress(), cluster)


def test_bytes_are_those_of_one_process(tmp_path: Path, cluster: Launcher) -> None:
    work = tasks(table(tmp_path / "t"), 10)
    expected = inline(tmp_path / "inline", jobs.shout, work)
    runner(tmp_path / "ray", cluster).wave("wave", jobs.shout, work)
    assert contents(tmp_path / "ray") == expected


def test_two_workers_work_at_the_same_time(tmp_path: Path, cluster: Launcher) -> None:
    (tmp_path / "met").mkdir()
    work = [Task(name, (), 2) for name in ("a", "b")]
    runner(tmp_path / "work", cluster).wave("meet", jobs.meet, work, tmp_path / "met")


@pytest.mark.parametrize("which", [0, 1], ids=["child", "ray worker"])
def test_a_killed_worker_costs_nothing_but_its_task_s_time(tmp_path: Path, cluster: Launcher, which: int) -> None:
    work, notes = tasks(table(tmp_path / "t")), tmp_path / "notes"
    notes.mkdir()
    expected = inline(tmp_path / "inline", jobs.shout_logged, work, notes)
    (notes / "hold-part-00001").touch()
    run = runner(tmp_path / "work", cluster)
    with jobs.Killer(notes, "part-00001", which):
        run.wave("wave", jobs.shout_logged, work, notes)
    assert contents(tmp_path / "work") == expected
    assert not run.poisoned


def test_poisoned_rows_are_found_on_a_cluster(tmp_path: Path, cluster: Launcher) -> None:
    work = tasks(table(tmp_path / "t", {3: "segv", 41: "balloon"}))
    run = runner(tmp_path / "work", cluster)
    outputs = run.wave("wave", jobs.shout, work)
    assert [(each.task, each.item, each.why) for each in run.poisoned] == [
        ("part-00000", 3, "its process died of SIGSEGV"),
        ("part-00001", 9, "took more than 256 MiB of memory"),
    ]
    assert sum(len(output.read_text().splitlines()) for output in outputs) == ROWS - 2


def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path) -> None:
    check_killed_driver(tmp_path, "2", "auto")
