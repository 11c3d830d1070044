"""A call in a child costs that call alone: time, memory, crashes, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import corpus_engine_jobs as jobs
import pytest

from smolforge.corpus.engine import ChildError, LimitedChild
from smolforge.corpus.engine.launcher import IMPORTS
from smolforge.errors import ConfigError

PATIENCE = jobs.PATIENCE


@pytest.fixture
def child() -> Iterator[LimitedChild]:
    with LimitedChild(memory_mib=256) as child:
        yield child


def died(child: LimitedChild, function: Callable[..., Any], *args: Any, timeout: float = PATIENCE) -> ChildError:
    with pytest.raises(ChildError) as caught:
        child.call(function, *args, timeout=timeout)
    return caught.value


def test_a_call_returns_what_the_function_returns(child: LimitedChild) -> None:
    assert child.call(jobs.add, 2, right=3, timeout=PATIENCE) == 5


def test_each_way_to_end_has_its_cause(child: LimitedChild) -> None:
    error = died(child, jobs.end, 3)
    assert (error.cause, error.words) == ("exit", "the last thing it said")
    assert "3" in error.why
    error = died(child, jobs.crash)
    assert (error.cause, error.why) == ("signal", "its process died of SIGSEGV")
    assert died(child, jobs.loop, timeout=0.5).cause == "time"
    assert child.call(jobs.add, 2, 3, timeout=PATIENCE) == 5


def test_an_exception_costs_no_child(child: LimitedChild) -> None:
    before = child.call(jobs.pid, timeout=PATIENCE)
    error = died(child, jobs.fail)
    assert (error.cause, error.why) == ("raised", "KeyError: 'x'")
    assert "in fail" in error.words
    assert child.call(jobs.pid, timeout=PATIENCE) == before


def test_an_error_for_a_person_comes_back_as_itself(child: LimitedChild) -> None:
    with pytest.raises(ConfigError, match=r"^corpus\.rules: no such profile$"):
        child.call(jobs.refuse, timeout=PATIENCE)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what a process holds")
@pytest.mark.parametrize("function", [jobs.take, jobs.take_with_numpy])
def test_memory_is_bounded_and_what_fits_is_let_through(child: LimitedChild, function: Callable[[int], float]) -> None:
    assert child.call(function, 200, timeout=PATIENCE)
    error = died(child, function, 300)
    assert (error.cause, error.why) == ("memory", "took more than 256 MiB of memory")
    assert child.call(function, 200, timeout=PATIENCE)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what a process holds")
def test_libraries_do_not_count_against_the_limit() -> None:
    with LimitedChild(memory_mib=100, imports=("polars", "pyarrow.parquet")) as child:
        assert child.call(jobs.take, 60, timeout=PATIENCE)
        child.load("trafilatura")
        assert child.call(jobs.take, 60, timeout=PATIENCE)
        assert died(child, jobs.take, 110).cause == "memory"


def test_arrow_brings_no_pandas_into_the_child_of_a_launcher() -> None:
    with LimitedChild(memory_mib=64, imports=IMPORTS) as child:
        names = child.call(jobs.modules_behind_an_array, timeout=PATIENCE)
    assert "pyarrow" in names and "pandas" not in names


def test_a_child_is_replaced_after_its_number_of_calls() -> None:
    with LimitedChild(memory_mib=64, recycle_after=2) as child:
        pids = [child.call(jobs.pid, timeout=PATIENCE) for _ in range(5)]
        assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
        assert all(jobs.gone(pid) for pid in pids[:4])


def test_a_child_killed_while_idle_is_replaced_without_a_word(child: LimitedChild) -> None:
    before = child.call(jobs.pid, timeout=PATIENCE)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)  # a zombie whose threads still end cannot be collected yet
    assert child.call(jobs.pid, timeout=PATIENCE) != before


def test_close_leaves_no_process_and_no_zombie() -> None:
    with LimitedChild(memory_mib=64) as child:
        pid = child.call(jobs.pid, timeout=PATIENCE)
    assert not Path(f"/proc/{pid}").exists()


def test_a_child_of_a_child_ends_with_it(child: LimitedChild, tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def kill_when_nested() -> None:
        jobs.until(file.exists, "the child's child")
        child.kill()

    thread = threading.Thread(target=kill_when_nested)
    thread.start()
    assert died(child, jobs.nested, jobs.pid, file).why == "its process died of SIGKILL"
    thread.join()
    jobs.until(lambda: jobs.gone(int(file.read_text())), "the end of the child's child")


def test_a_child_at_work_dies_with_its_parent(tmp_path: Path) -> None:
    """The parent is killed outright, so nobody is there to tell the child."""
    code = (
        "import sys, corpus_engine_jobs as jobs; from smolforge.corpus.engine import LimitedChild\n"
        "child = LimitedChild(memory_mib=64); print(child.call(jobs.pid, timeout=120), flush=True)\n"
        "child.call(jobs.loop, timeout=1000)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    jobs.until(lambda: jobs.gone(pid), "the end of the child")
