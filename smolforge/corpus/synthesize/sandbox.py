"""Run generated Python where it can do no harm: a child that may compute, read and print, for so long and so much.

Input: pieces of code that run one after the other in one namespace. Output: None where all came to their end, else
why not. What is held: CPU and wall time, memory, output, files opened; no writing, deleting, network, processes,
threads or signals (``sandbox_child.py``: limits and a seccomp filter, x86-64 and AArch64 Linux; elsewhere nothing is
run). From Linux 5.13 on it reads Python's own files alone (Landlock); on an older kernel, whatever this user may read.
It shares the processor and the kernel.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from smolforge.corpus.synthesize.sandbox_child import UNSUPPORTED
from smolforge.errors import ConfigError
from smolforge.store.digest import digest_bytes

_CHILD = Path(__file__).with_name("sandbox_child.py")
_OUTPUT_BYTES = 1 << 20
_BLOCK = 1 << 16
_PATIENCE = 10  # times its processor time that code may take on the clock, on a busy machine
_INTERPRETER_MIB = 64  # what Python itself takes, beside what the code may


def run_python(parts: Sequence[str], *, seconds: float = 5.0, memory_mib: int = 256) -> str | None:
    """Run the parts; return None if all of them came to their end without an error, else what happened.

    ConfigError where this system cannot hold the code in: it is not run then.
    """
    mark = digest_bytes(os.urandom(16))
    job = {
        "parts": list(parts), "mark": mark, "cpu_seconds": int(seconds) + 1,
        "memory_bytes": (memory_mib + _INTERPRETER_MIB) << 20,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="exercise-") as folder:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd=folder, env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8"}, start_new_session=True,
        )  # fmt: skip
        try:
            reason, said, errors = _watch(child, json.dumps(job).encode(), seconds)
        finally:
            _end(child)
    if reason is not None:
        return reason
    if child.returncode == UNSUPPORTED:
        raise ConfigError(
            f"generated code is not run here: {errors.strip()}. It takes Linux on x86-64 or AArch64 with seccomp; "
            "leave out sets of the format 'code'"
        )
    if child.returncode == 0:
        return None if said.endswith(f"\n{mark}\n") else "it ended before its last line"
    if child.returncode < 0:
        return _signal_reason(-child.returncode, seconds)
    return errors.strip().splitlines()[-1] if errors.strip() else f"it ended with status {child.returncode}"


def _watch(child: subprocess.Popen[bytes], job: bytes, seconds: float) -> tuple[str | None, str, str]:
    """Feed the job, gather what is printed; return (why it was stopped or None, output, errors)."""
    assert child.stdin and child.stdout and child.stderr
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(job)
        child.stdin.close()
    until, gathered = time.monotonic() + seconds * _PATIENCE, {child.stdout: bytearray(), child.stderr: bytearray()}
    with selectors.DefaultSelector() as ready:
        for pipe in gathered:
            ready.register(pipe, selectors.EVENT_READ)
        while ready.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return f"it ran longer than {seconds:g} seconds", "", ""
            for key, _ in ready.select(left):
                block = os.read(key.fd, _BLOCK)
                if not block:
                    ready.unregister(key.fileobj)
                gathered[key.fileobj] += block  # type: ignore[index]
                if sum(map(len, gathered.values())) > _OUTPUT_BYTES:
                    return f"it printed more than {_OUTPUT_BYTES} bytes", "", ""
    child.wait()
    said, errors = (bytes(gathered[pipe]).decode(errors="replace") for pipe in (child.stdout, child.stderr))
    return None, said, errors


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe:
            pipe.close()


def _signal_reason(number: int, seconds: float) -> str:
    if number in (signal.SIGXCPU, signal.SIGKILL):
        return f"it ran longer than {seconds:g} seconds, or out of memory"
    return f"it crashed with {signal.Signals(number).name}"
