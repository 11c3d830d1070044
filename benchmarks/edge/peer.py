"""llama.cpp as ``benchmarks/peers.sh`` built it: its own bench tools, its perplexity tool and its server.

In: a model file and settings. Out: tokens per second as llama.cpp's tools count them, or a running server that is asked
over HTTP on the loopback interface. Every process is ended when its block is left.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import SmolforgeError

from .models import peers_folder

START_SECONDS = 120
ANSWER_SECONDS = 600


def folder() -> Path:
    """Where the tools lie."""
    return peers_folder() / "llama.cpp"


def available() -> bool:
    """Whether ``benchmarks/peers.sh`` has finished here."""
    return (folder() / "flags.txt").exists()


def flags() -> str:
    """Version, compiler and flags of the build."""
    return (folder() / "flags.txt").read_text(encoding="utf-8").strip()


def tool(name: str) -> str:
    """Path of a tool; SmolforgeError when the peer is not built."""
    if not available():
        raise SmolforgeError(f"llama.cpp is not built in {folder()}: run benchmarks/peers.sh first")
    return str(folder() / "bin" / name)


def run(name: str, *arguments: str) -> str:
    """Run a tool and return what it printed; SmolforgeError with its last words if it fails."""
    done = subprocess.run([tool(name), *arguments], capture_output=True, text=True, timeout=ANSWER_SECONDS)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SmolforgeError(f"{name} {' '.join(arguments)} ended with {done.returncode}: {words}")
    return done.stdout


def bench(
    model: Path, *, threads: int, prefill: int = 0, decode: int = 0, depth: int = 0, options: Sequence[str] = ()
) -> float:
    """Tokens per second of ``llama-bench``, one repetition after its own warm-up.

    ``prefill`` or ``decode`` tokens are timed, after ``depth`` tokens that are not.
    """
    shape = ["-p", str(prefill), "-n", str(decode), "-d", str(depth)]
    printed = run("llama-bench", "-m", str(model), *shape, "-t", str(threads), "-r", "1", "-o", "json", *options)
    return float(json.loads(printed)[0]["avg_ts"])


@dataclass(frozen=True)
class Server:
    """A running ``llama-server``; ``pid`` for measuring its memory."""

    port: int
    pid: int

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST JSON and return the JSON answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(model: Path, *, threads: int, context: int, options: Sequence[str] = ()) -> Iterator[Server]:
    """A ``llama-server`` on a free port of 127.0.0.1, ready to answer."""
    port = _free_port()
    shape = ["-m", str(model), "-t", str(threads), "-c", str(context), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [tool("llama-server"), *shape, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        found, deadline = Server(port, process.pid), time.monotonic() + START_SECONDS
        while not found.healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SmolforgeError(f"llama-server did not start with {' '.join([*shape, *options])}")
            time.sleep(0.02)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)
