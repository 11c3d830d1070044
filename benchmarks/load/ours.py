"""``smolforge serve`` as a process of its own on a free port, and how much memory it holds.

Input: a model file and settings. Output: ``Served``; the process is told to stop when the block is left.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from smolforge.errors import SmolforgeError

STOP_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A running server; ``said`` holds the last lines of its log."""

    port: int
    pid: int
    said: deque[str] = field(default_factory=lambda: deque(maxlen=200))

    def resident(self) -> float:
        """Return the megabytes of memory the process holds."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def served(model: Path, *, threads: int, context: int, options: Sequence[str] = ()) -> Iterator[Served]:
    """Start the server and wait for its address; SmolforgeError with its last words where it does not start."""
    shape = ["--port", "0", "--threads", str(threads), "--context", str(context), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "smolforge.cli.main", "serve", str(model), *shape], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            if found := re.search(r" at http://127\.0\.0\.1:(\d+)", line):
                break
            said += line
        else:
            raise SmolforgeError(f"smolforge serve did not start: {said}")
        server = Served(int(found[1]), process.pid)
        threading.Thread(target=server.said.extend, args=(process.stderr,), daemon=True).start()
        yield server
    finally:
        process.terminate()
        process.wait(timeout=STOP_SECONDS)
