"""Start one stage's process, listen to it, and count what it costs.

Input is a Step, its work folder and its inputs; output is the stage's outcome, the versions of the libraries it used,
and its cost over all tries (an interrupted try counts too).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smolforge.errors import SmolforgeError
from smolforge.recipe.channel import messages
from smolforge.recipe.display import Display
from smolforge.recipe.energy import EnergyMeter
from smolforge.recipe.machine import describe
from smolforge.recipe.schema import Step
from smolforge.store import Artifact, StageOutcome, read_json, write_json

TICK_SECONDS = 1.0
SAVE_SECONDS = 5.0
# glibc hands large blocks back to the system and faults them in again at every training step; keeping them measured
# 13-15% more steps a second on two cores.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}


def cost_file(work: Path) -> Path:
    """Where the cost of unfinished tries of a stage is kept, beside its work folder."""
    return work.with_name(work.name + ".cost.json")


class StageError(SmolforgeError):
    """A stage refused its input: the message is the stage's own, with the stage named."""


class StageCrash(Exception):
    """A stage ended in a way that is a defect of ours or the system's doing; the text holds its traceback."""


class Cost:
    """Wall and CPU seconds and joules of a stage, added to what earlier tries used."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before: dict[str, Any] = read_json(file) if file.is_file() else {}
        self._meter, self._began, self._saved = EnergyMeter(), time.monotonic(), time.monotonic()
        self._cpu = 0.0

    def tick(self, cpu_seconds: float | None) -> None:
        """Note the CPU seconds of this try so far; every few seconds, save the sums for a run that is killed."""
        self._cpu = cpu_seconds if cpu_seconds is not None else self._cpu
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._saved = time.monotonic()
            write_json(self._file, self.total(self._cpu))

    def total(self, cpu_seconds: float) -> dict[str, Any]:
        """Return the sums over all tries. Seconds, joules."""
        energy = self._meter.reading(cpu_seconds)
        energy["energy_j"] += self._before.get("energy_j", 0.0)
        return {
            "wall_s": round(time.monotonic() - self._began + self._before.get("wall_s", 0.0), 3),
            "cpu_s": round(cpu_seconds + self._before.get("cpu_s", 0.0), 3),
            "tries": self._before.get("tries", 0) + 1,
            **energy,
        }


def run_stage(
    step: Step, work: Path, inputs: Mapping[str, Artifact], display: Display, lock: int
) -> tuple[StageOutcome, dict[str, str], dict[str, Any]]:
    """Run one stage to its end. Raises StageError or StageCrash; KeyboardInterrupt ends the stage first."""
    log = work.parent.parent / "logs" / f"{step.folder}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    cost = Cost(cost_file(work))
    read_end, write_end = os.pipe()
    with log.open("ab") as stream:
        start = stream.tell()
        process = _start(step, work, inputs, stream.fileno(), write_end, lock)
    os.close(write_end)
    last: dict[str, Any] = {}
    try:
        for message in messages(read_end, TICK_SECONDS):
            cost.tick(message["cpu"] if message else None)
            if message and message["kind"] in ("done", "error"):
                last = message
            elif message:
                display.message(message)
        usage = _wait(process)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        os.close(read_end)
    if last.get("kind") != "done":
        raise _failure(step, process.returncode, last, log, start)
    spent = cost.total(usage.ru_utime + usage.ru_stime)
    # Linux counts ru_maxrss in KiB; it is the largest single process, not the sum of a stage's pool.
    spent |= {"peak_rss_bytes": usage.ru_maxrss * 1024, "machine": describe()}
    outcome = StageOutcome(last["counts"], last["metrics"], tuple(last["resume_only"]))
    return outcome, last["libraries"], spent


def _start(
    step: Step, work: Path, inputs: Mapping[str, Artifact], log: int, channel: int, lock: int
) -> subprocess.Popen[bytes]:
    job = {
        "config_class": step.stage.config,
        "run": step.stage.run,
        "config": step.job,
        "work": str(work.resolve()),
        "inputs": {name: str(artifact.path.resolve()) for name, artifact in inputs.items()},
        "seed": step.seed,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "smolforge.recipe.worker", str(channel)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=(channel, lock),  # the lock stays held until the last process of the run is gone
        start_new_session=True,
        env={**ALLOCATOR, **os.environ, "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "true"},
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it died at once; its log says why
    return process


def _wait(process: subprocess.Popen[bytes]) -> Any:
    """Wait for the process and return its resource usage, with that of the processes it waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _failure(step: Step, code: int, last: dict[str, Any], log: Path, start: int) -> Exception:
    if last.get("kind") == "error":
        return StageError(f"{step.stage.name}: {last['text']}")
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return StageError(
            f"{step.stage.name}: its process was ended by {name}{hint}; run the same command again to go on; log: {log}"
        )
    with log.open("rb") as stream:
        stream.seek(start)
        text = stream.read().decode("utf-8", "replace")
    return StageCrash(f"stage '{step.stage.name}' failed (log: {log})\n{text}")
