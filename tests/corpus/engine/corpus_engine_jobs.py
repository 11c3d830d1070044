"""Jobs and calls for the tests of the corpus engine: other processes import them from here."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401  (with this module, so that no job's time counts it)

from smolforge.corpus.engine import Task, kept_batches
from smolforge.errors import ConfigError, DataError

PATIENCE = 300.0  # seconds; waits end with their event, long before


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for an event of another process."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Tell whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def add(left: int, right: int) -> int:
    return left + right


def pid() -> int:
    return os.getpid()


def refuse() -> None:
    raise ConfigError("corpus.rules: no such profile")


def fail() -> None:
    print("about to fail")
    raise KeyError("x")


def end(code: int) -> None:
    print("the last thing it said", file=sys.stderr, flush=True)
    os._exit(code)


def crash() -> None:
    ctypes.string_at(0)


def loop() -> None:
    while True:
        pass


def take(mib: int) -> int:
    """Hold ``mib`` MiB, every page of them touched, and return how many bytes that is."""
    return sum(len(block) for block in [b"x" * (1 << 20) for _ in range(mib)])


def take_with_numpy(mib: int) -> float:
    import numpy as np

    return float(np.ones(mib << 17).sum())


def modules_behind_an_array() -> list[str]:
    import pyarrow as pa

    assert pa.array([1, 2]).to_pylist() == [1, 2]
    return sorted(name for name, module in sys.modules.items() if module is not None)


def nested(function: Callable[[], int], file: Path) -> None:
    """Start a child of this child, note its pid, and never return."""
    from smolforge.corpus.engine import LimitedChild

    with LimitedChild(memory_mib=64) as child:
        part = file.with_suffix(".part")
        part.write_text(str(child.call(function, timeout=PATIENCE)))
        part.replace(file)
        loop()


def hang() -> None:
    time.sleep(1e6)


HARM: dict[str, Callable[[], Any]] = {
    "exit": lambda: os._exit(3),
    "segv": crash,
    "balloon": lambda: take(4096),
    "hang": hang,
    "raise": fail,
}


def shout(task: Task, output: Path, argument: Any) -> None:
    """Write each row's text in capitals with its number; a row whose text names a harm does it."""
    with output.open("w") as stream:
        for part in task.inputs:
            for first, batch in kept_batches(task, part, ["text"], rows=7):
                for number, text in enumerate(batch.column(0).to_pylist(), first):
                    HARM.get(text, int)()
                    stream.write(f"{number} {text.upper()}{argument or ''}\n")


def shout_logged(task: Task, output: Path, argument: Path) -> None:
    """As ``shout``, into a folder; notes in ``argument`` who began what, and waits for leave where it says so."""
    with (argument / "log").open("a") as stream:
        stream.write(f"{task.name}\n")
    if (argument / f"hold-{task.name}").exists():
        (argument / f"pids-{task.name}.part").write_text(f"{os.getpid()} {os.getppid()}")
        (argument / f"pids-{task.name}.part").replace(argument / f"pids-{task.name}")
        until(lambda: not (argument / f"hold-{task.name}").exists(), "leave to go on")
    output.mkdir()
    shout(task, output / "rows", None)


def meet(task: Task, output: Path, argument: Path) -> None:
    """Finish only once all of ``task.items`` tasks of the wave have begun."""
    (argument / task.name).touch()
    until(lambda: len(list(argument.iterdir())) == task.items, "the other tasks to begin")
    output.touch()


def torn(task: Task, output: Path, argument: Any) -> None:
    raise DataError("pages.warc: torn at byte 17")


def defect(task: Task, output: Path, argument: Any) -> None:
    raise AttributeError("a defect of the job")


def greedy(task: Task, output: Path, argument: int) -> None:
    """Need memory for each item at once: no single one is at fault."""
    take(argument * sum(last - first for first, last in task.ranges))
    output.touch()


def write_pid(task: Task, output: Path, argument: Path) -> None:
    """Say who runs, then never finish."""
    (argument / f"{os.getpid()}").touch()
    loop()


class Killer(threading.Thread):
    """Kills the process that holds a task (``which`` 1: its parent), then lets the task go on."""

    def __init__(self, notes: Path, name: str, which: int) -> None:
        super().__init__()
        self._over = False
        self._hold, self._pids, self._which = notes / f"hold-{name}", notes / f"pids-{name}", which

    def run(self) -> None:
        until(lambda: self._pids.exists() or self._over, "the job to begin")
        if self._over:
            return
        pid = int(self._pids.read_text().split()[self._which])
        os.kill(pid, signal.SIGKILL)
        until(lambda: gone(pid), "the end of the worker")
        self._hold.unlink()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._over = True
        self.join()


def rest_a_second(task: Task, output: Path, argument: object) -> None:
    """Job: take longer than a short limit."""
    time.sleep(1.0)
    output.write_text("rested")
