"""The threads of the engine: shared by all models, restarted after a fork, gone at exit, asleep when idle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smolforge.engine import _native
from tests.native.reference import Run, i32, tiny

TOKENS = i32(*range(50))
NATIVE = Path(__file__).parents[2] / "native"


def test_models_with_different_thread_counts_share_the_pool() -> None:
    models = [tiny(head_dim=64).model(threads) for threads in (1, 4, 2)]
    results = [Run(model).feed(TOKENS) for model in models + models]
    assert all(np.array_equal(result, results[0]) for result in results)


def test_zero_threads_means_as_many_as_cores() -> None:
    assert tiny().model(0).threads == _native.default_threads() >= 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_default_threads_respect_the_affinity_mask() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from smolforge.engine import _native; print(_native.default_threads())"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gets_threads_of_its_own() -> None:
    model = tiny().model(2)
    expected = Run(model).feed(TOKENS)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(Run(model).feed(TOKENS), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(Run(model).feed(TOKENS), expected)


def test_the_process_ends_promptly_with_threads_running() -> None:
    program = (
        "from tests.native.test_pool import *\n"
        "import threading, time; model = tiny(head_dim=64).model(2)\n"
        "def work():\n    while True: Run(model).feed(TOKENS)\n"
        "threading.Thread(target=work, daemon=True).start(); time.sleep(0.3); print('done')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_idle_threads_sleep() -> None:
    program = (
        "from tests.native.test_pool import *\n"
        "import time; Run(tiny(head_dim=64).model(4)).feed(TOKENS)\n"
        "began, used = time.monotonic(), 1.0\n"
        "while used > 0.02 and time.monotonic() - began < 60:\n"
        "    before = time.process_time(); time.sleep(0.2); used = time.process_time() - before\n"
        "print(used <= 0.02)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_every_piece_is_done_once_and_phases_follow_one_another(tmp_path: Path) -> None:
    """Random phases with delayed threads, in a program of its own built with the thread sanitizer."""
    compiler, program = shutil.which("g++"), tmp_path / "check_pool"
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs g++ on Linux")
    sources = [Path(__file__).parent / "check_pool.cpp", NATIVE / "pool.cpp", NATIVE / "machine.cpp"]
    options = ["-std=c++17", "-O1", "-g", "-fsanitize=thread", "-pthread", f"-I{NATIVE}"]
    built = subprocess.run([compiler, *options, *map(str, sources), "-o", str(program)], capture_output=True, text=True)
    if "tsan" in built.stderr:
        pytest.skip("this compiler has no thread sanitizer")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=600)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("the thread sanitizer cannot run with this kernel's address layout")
    assert (done.returncode, done.stdout) == (0, "300 runs\n"), done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on address space")
def test_a_pass_does_with_fewer_threads_where_the_system_gives_no_more() -> None:
    program = (
        "from tests.native.test_pool import *\n"
        "import resource; one = tiny(head_dim=64); expected = Run(one.model(1)).feed(TOKENS); run = Run(one.model(4))\n"
        "held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + (4 << 20), -1))  # a thread's stack takes 8 MiB\n"
        "found = run.feed(TOKENS); resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
        "print(np.array_equal(found, expected), len(os.listdir('/proc/self/task')))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.stdout == "True 1\n", done.stderr
