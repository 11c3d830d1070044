"""What the figures were measured on: processor, memory, instruction sets, both sides' flags, and how fast memory reads.

In: nothing but this machine. Out: lines to print above the table, and gigabytes per second.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from smolforge.errors import SmolforgeError

from . import peer
from .models import peers_folder

SOURCE = Path(__file__).with_name("bandwidth.c")
MEGABYTES, PASSES = 1600, 9


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    lines = cpuinfo.read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()


def describe(threads: int) -> list[str]:
    """Machine, instruction set in use and the peer's flags, a line each."""
    from smolforge.engine import _native

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return [
        f"machine: {_processor()}, {memory:.0f} GB, {platform.system()} {platform.release()}, {threads} threads",
        f"ours: instruction set {_native.isa()} of {', '.join(_native.isas())}; built with -O3, no -march=native",
        f"peer: {' | '.join(peer.flags().splitlines())}",
    ]


def read_bandwidth(threads: int) -> float:
    """Gigabytes per second that ``threads`` threads read from memory, the best of some passes over 1.6 GB."""
    program = peers_folder() / "bandwidth"
    if not program.exists() or program.stat().st_mtime < SOURCE.stat().st_mtime:
        command = ["cc", "-O3", "-march=native", "-pthread", str(SOURCE), "-o", str(program)]
        if subprocess.run(command).returncode:
            raise SmolforgeError(f"the read bandwidth cannot be measured: cc did not compile {SOURCE}")
    printed = subprocess.run(
        [str(program), str(threads), str(MEGABYTES), str(PASSES)], capture_output=True, text=True, check=True
    ).stdout
    return float(printed.split()[0])
