"""Generated code runs its own tests, reaches nothing else, and cannot say that it passed."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import pytest

from smolforge.corpus.synthesize.checks import CHECKS
from smolforge.corpus.synthesize.limits import Limits
from smolforge.corpus.synthesize.sandbox import run_python
from tests.corpus.synthesis_candidates import candidate

EXERCISE = {
    "solution": "```python\ndef steps(floors, each=16):\n    return floors * each\n```",
    "tests": "```python\nassert steps(2) == 32\nassert steps(3, 2) == 6\n```",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"solution": "```python\ndef steps(floors, each=16):\n    return floors + each\n```"}, "AssertionError"),
        ({"tests": "assert steps(2) == 32"}, "fewer than 2"),
        ({"tests": "assert True\nassert 1 < 2"}, "although every function returns nothing"),
        ({"solution": "def steps(floors:\n  return"}, "no Python"),
        ({"solution": "print('hello')"}, "defines no function"),
        ({"solution": "def steps(floors, each=16):\n    while True: pass"}, "longer than"),
        ({"solution": "import os\nos._exit(0)\ndef steps(a): pass"}, "before its last line"),
        ({"solution": "open('x', 'w')\ndef steps(a): pass"}, "PermissionError"),
        (
            {"solution": "import socket\nsocket.create_connection(('127.0.0.1', 9))\ndef steps(a): pass"},
            "PermissionError",
        ),
        ({"solution": "import subprocess\nsubprocess.run(['true'])\ndef steps(a): pass"}, "PermissionError"),
        ({"solution": "x = bytearray(10 ** 10)\ndef steps(a): pass"}, "MemoryError"),
        ({"solution": "while True: print('x' * 10 ** 6)\ndef steps(a): pass"}, "printed more than"),
    ],
)
def test_code_is_kept_only_if_its_own_tests_run_and_mean_something(change: dict[str, str], words: str | None) -> None:
    limits = Limits(seconds=1.0 if words == "longer than" else 60.0)
    fault = CHECKS["executed_code"](candidate("", **{**EXERCISE, **change}), limits).fault
    assert fault is None if words is None else words in str(fault)


def test_generated_code_can_remove_nothing(tmp_path: Any) -> None:
    victim = tmp_path / "kept.txt"
    victim.write_text("precious")
    for line in (f"os.unlink({str(victim)!r})", f"os.rename({str(victim)!r}, 'x')", f"os.truncate({str(victim)!r}, 0)",
                 f"os.chmod({str(victim)!r}, 0)", f"os.kill({0}, 9)", f"shutil.rmtree({str(tmp_path)!r})"):  # fmt: skip
        solution = f"import os, shutil\n{line}\ndef steps(a): pass"
        limits = Limits(seconds=60.0)
        fault = CHECKS["executed_code"](candidate("", **{**EXERCISE, "solution": solution}), limits).fault
        assert "PermissionError" in str(fault)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "lines",
    [
        "import fcntl\nfcntl.fcntl(1, 8, os.getppid())",  # F_SETOWN
        "import fcntl\nfcntl.fcntl(1, 10, 9)",  # F_SETSIG
        "import fcntl, termios\nfcntl.ioctl(1, termios.TIOCSTI, b'x')",
    ],
)
def test_generated_code_reaches_no_other_process(lines: str) -> None:
    assert "PermissionError" in str(run_python([f"import os\n{lines}"], seconds=60.0))


def test_generated_code_reads_python_alone(tmp_path: Any) -> None:
    kernel = ctypes.CDLL(None).syscall(444, None, 0, 1)  # LANDLOCK_CREATE_RULESET_VERSION
    if kernel < 1:
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "secret").write_text("precious")
    for path in (tmp_path / "secret", f"/proc/{os.getpid()}/environ"):
        assert "PermissionError" in str(run_python([f"print(open({str(path)!r}).read())"], seconds=60.0))
    modules = "decimal, fractions, json, random, re, collections, itertools, statistics, datetime, unicodedata, bisect"
    assert run_python([f"import {modules}", "assert statistics.mean([1, 3]) == 2"], seconds=60.0) is None


_WALK = "import os, sys\nfound, frame = [], sys._getframe()\nwhile frame := frame.f_back:\n"


@pytest.mark.parametrize(
    "forgery",
    [
        _WALK + "    job = frame.f_locals.get('job') or {}\n"
        "    if 'mark' in job: os.write(1, ('\\n' + job['mark'] + '\\n').encode())\nos._exit(0)",
        _WALK + "    found += [*frame.f_locals.values(), *frame.f_globals.values()]\n"
        "for value in found: os.write(1, f'\\n{value}\\n'.encode())\nos._exit(0)",
        "import sys\nsys.audit('smolforge.end')\nimport os\nos._exit(0)",
        "import gc\ngc.get_objects()",
        "import _imp\nfrom importlib.machinery import BuiltinImporter, ModuleSpec\n"
        "_imp.create_builtin(ModuleSpec('gc', BuiltinImporter)).get_objects()",
        "import ctypes",
        "open('/proc/self/mem', 'rb')",
        "import os\nos.open('../../proc/self/mem', os.O_RDONLY)",
        "import builtins\nbuiltins.exec = lambda *_: None",
        "import os\nos._exit = os.write = lambda *_: 0\nraise SystemExit(0)",
        "raise StopIteration",
    ],
)  # fmt: skip
def test_a_solution_cannot_say_that_it_passed_the_tests_behind_it(forgery: str) -> None:
    assert run_python([forgery, "assert False"], seconds=60.0) is not None


def test_ordinary_classes_and_modules_run_beside_the_guard() -> None:
    code = (
        "import collections, dataclasses, decimal, enum, heapq, json, random, re, typing, unittest\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int = 1\nPair = collections.namedtuple('Pair', 'a b')"
    )
    assert run_python([code, "assert Point() == Point(1) and Pair(1, 2).b == 2"], seconds=60.0) is None
