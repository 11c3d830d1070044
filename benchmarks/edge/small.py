"""What the package weighs: wheel, import, memory of a 3B, and the time from process start to the first token.

In: the installed package and the two model files. Out: claims without a peer; each is measured in fresh processes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from smolforge.errors import SmolforgeError

from . import models
from .claims import Claim
from .setting import Setting

ROOT = Path(__file__).resolve().parents[2]
IMPORT = """
import sys, time
start = time.perf_counter()
import smolforge
print(time.perf_counter() - start)
heavy = {"torch", "transformers", "huggingface_hub", "requests"} & set(sys.modules)
sys.exit(f"import smolforge also imported {heavy}" if heavy else 0)
"""
# Fills the whole context: a prompt that leaves room for a few tokens, then the few tokens.
RESIDENT = """
import resource, sys
import numpy as np
from smolforge.engine.engine import Engine
from smolforge.generator import Request
with Engine.open(sys.argv[1], threads=int(sys.argv[2]), context=4096, kv_bytes=4096 * 36864 * 2 + (16 << 20)) as engine:
    prompt = np.random.default_rng(0).integers(100, 49000, engine.context - 16).tolist()
    answer = engine.submit(Request(prompt, 8)).answer()
    assert len(answer.tokens) == 8
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""
FIRST_TOKEN = """
import sys
from smolforge import Engine
with Engine.open(sys.argv[1], threads=int(sys.argv[2])) as engine:
    for text in engine.stream("What is the capital of France?", max_tokens=8).text():
        print(text, flush=True)
        break
"""


def _python(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SmolforgeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout


def _median(measure: Callable[[], float], setting: Setting) -> float:
    """The median over turns, after one that warms the file cache."""
    measure()
    return statistics.median(measure() for _ in range(setting.turns))


def wheel(setting: Setting) -> list[Claim]:
    """Megabytes of the wheel that ``pip wheel`` builds from this tree."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(command, check=True)
        size = next(Path(folder).glob("smolforge-*.whl")).stat().st_size / 1e6
    return [Claim("wheel", size, None, 5.0, "MB", "lower")]


def import_time(setting: Setting) -> list[Claim]:
    """Seconds of ``import smolforge``; fails if it brings torch, transformers or a network client."""
    return [Claim("import smolforge", _median(lambda: float(_python(IMPORT)), setting), None, 0.3, "s", "lower")]


def resident(setting: Setting) -> list[Claim]:
    """Peak memory of the 3B shape whose 4k context is read to its end; the second start, as packed weights are kept."""
    _python(FIRST_TOKEN, models.large(), setting.threads)
    peak = float(_python(RESIDENT, models.large(), setting.threads)) / 1e9
    return [Claim("3B-shape, 4k context, peak memory", peak, None, 2.3, "GB resident", "lower")]


def first_token(setting: Setting) -> list[Claim]:
    """Seconds from starting a Python process to the first piece of an answer of the 135M."""

    def measure() -> float:
        command = [sys.executable, "-c", FIRST_TOKEN, str(models.small()), str(setting.threads)]
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
            assert process.stdout is not None
            piece = process.stdout.read(1)
            seconds = time.perf_counter() - begin
        if not piece:
            raise SmolforgeError("the process that should print a first token printed nothing")
        return seconds

    return [Claim("135M, first token", _median(measure, setting), None, 0.4, "s from start", "lower")]
