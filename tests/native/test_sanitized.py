"""The native module is clean under the address and undefined-behaviour sanitizers: its own tests and the fuzzer.

Builds it once into build/sanitized (minutes; a change rebuilds what it touches), and runs the tests in processes of
their own with the sanitizers' runtime loaded first, once for each instruction set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smolforge.engine import _native
from smolforge.hub.lock import hold

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "sanitized"
CONFIGURE = ["-DSMOLFORGE_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", f"-DPython_EXECUTABLE={sys.executable}"]
TESTS = [f"tests/native/test_{name}.py" for name in ("hostile", "fuzz", "pack")]
MORE = ["tests/native/test_forward.py", "-k", "not instruction_set"]  # of the best set alone: minutes with any other
LESS = ["-k", "not one_thing_wrong"]  # which is looked for before any set has its turn
TEXT = [
    "tests/native/test_text_hostile.py",
    *(f"tests/corpus/test_{name}.py" for name in ("features", "fineweb_rules")),
    "-k",
    "not for_every_character",  # a million of Python's own, nothing native
]
# Leaks at exit are Python's own. With malloc for everything, the ends of small objects are watched too.
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "PYTHONMALLOC": "malloc",
    "OMP_NUM_THREADS": "1",
}

pytestmark = pytest.mark.slow


def runtimes() -> list[str]:
    """The libraries of the sanitizers, which must be loaded before Python; skips where the compiler has none."""
    compiler = shutil.which("g++")
    if sys.platform != "linux" or compiler is None or shutil.which("cmake") is None:
        pytest.skip("needs g++ and cmake on Linux")
    asked = [f"-print-file-name=lib{name}.so" for name in ("asan", "ubsan")]
    found = [subprocess.run([compiler, name], capture_output=True, text=True).stdout.strip() for name in asked]
    if not all(Path(path).is_absolute() for path in found):
        pytest.skip("this compiler has no sanitizer runtime (Debian: it comes with the package libgcc-12-dev)")
    return found


@pytest.fixture(scope="module")
def preload() -> str:
    """Build the module; what to load before Python."""
    libraries = runtimes()
    with hold(ROOT / "build" / "sanitized.lock"):  # test workers share the folder
        for command in (
            ["-S", ROOT, "-B", FOLDER, "-DCMAKE_CXX_COMPILER=g++", *CONFIGURE],
            ["--build", FOLDER, "--parallel", "2"],
        ):
            done = subprocess.run(["cmake", *map(str, command)], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(libraries)


def run(preload: str, *arguments: str, isa: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.native.sanitized_run", str(FOLDER), *arguments]
    environment = {**os.environ, **OPTIONS, "LD_PRELOAD": preload, "SMOLFORGE_ISA": isa}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_read_past_the_end_is_caught(preload: str) -> None:
    done = run(preload, "--overrun")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr and "smolforge::" in done.stderr, done.stderr


@pytest.mark.parametrize("isa", ["avx512vnni", "avxvnni", "avx2", "i8mm", "dotprod", "neon", "plain"])
def test_no_set_reads_or_writes_out_of_bounds_or_leaves_the_language(preload: str, isa: str) -> None:
    if isa not in _native.isas():
        pytest.skip(f"this build and CPU have no {isa}")
    done = run(preload, *TESTS, *(MORE if isa == _native.isas()[0] else LESS), isa=isa)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def test_the_text_kernels_stay_in_bounds_on_hostile_text(preload: str) -> None:
    done = run(preload, *TEXT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
