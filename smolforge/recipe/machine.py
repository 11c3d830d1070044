"""What this machine is: processor, instruction sets, cores, memory, disk, accelerators. Read, never changed.

Input is /proc, the disk and the container's limits; output goes into every manifest and into `smolforge doctor`.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from smolforge.store.control_groups import core_limit, memory_limit

# Linux flag → the name people use for it. Order: what a CPU kernel would rather have, last.
INSTRUCTION_SETS = {
    "sse4_2": "sse4.2",
    "avx": "avx",
    "f16c": "f16c",
    "fma": "fma",
    "avx2": "avx2",
    "avx_vnni": "avx-vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512_vnni": "avx512-vnni",
    "avx512_bf16": "avx512-bf16",
    "avx512_fp16": "avx512-fp16",
    "amx_tile": "amx",
    "amx_int8": "amx-int8",
    "amx_bf16": "amx-bf16",
    "asimd": "neon",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
}


def describe() -> dict[str, Any]:
    """Return the machine as a JSON value. Memory and disk in bytes."""
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": info.get("model name") or info.get("Hardware") or platform.processor() or "unknown",
        "cores": usable_cores(),
        "instruction_sets": [name for flag, name in INSTRUCTION_SETS.items() if flag in flags],
        "memory_bytes": memory_bytes(),
    }


def usable_cores() -> int:
    """Return how many cores this process may use: its CPU affinity, less where the container has a quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = core_limit()
    return cores if quota is None else max(1, min(cores, int(quota)))


def memory_bytes() -> int:
    """Return the memory of this machine or container, whichever is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = memory_limit()
    return total if limit is None else min(total, limit)


def free_disk_bytes(path: Path) -> int:
    """Return the free bytes of the disk that ``path`` (or its nearest existing parent) is on."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def _cpuinfo() -> dict[str, str]:
    """Return the first processor's entry of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
