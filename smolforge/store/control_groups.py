"""The control groups of this process (Linux): where a container or a service sets limits on memory and processors.

Input: /proc/self/cgroup. Output: folders in which limits may stand, for both versions of the interface (kernel
documentation, "Control Group v2" and "Control Groups version 1").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

ROOT, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def group_folders(controller: Literal["memory", "cpu"]) -> Iterator[tuple[int, Path]]:
    """Yield (version, folder) of this process's own group and of all around it; not all need exist."""
    own = {"": "/", controller: "/"}
    with suppress(OSError):
        for _, controllers, path in (line.split(":", 2) for line in MEMBERSHIP.read_text().splitlines()):
            own |= dict.fromkeys(controllers.split(","), path) if ".." not in path else {}
    for version, root, path in ((2, ROOT, own[""]), (1, ROOT / controller, own[controller])):
        folder = root / path.lstrip("/")
        yield from ((version, place) for place in (folder, *folder.parents) if place.is_relative_to(root))


def memory_limit() -> int | None:
    """Return the tightest limit in bytes; None where there is none."""
    names = {2: "memory.max", 1: "memory.limit_in_bytes"}
    limits = [_numbers(folder / names[version]) for version, folder in group_folders("memory")]
    return min((limit[0] for limit in limits if limit), default=None)


def core_limit() -> float | None:
    """Return how many cores' worth of time the tightest quota leaves; None where there is none."""
    found = []
    for version, folder in group_folders("cpu"):
        names = ["cpu.max"] if version == 2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        numbers = [number for name in names for number in _numbers(folder / name)]
        if len(numbers) == 2 and min(numbers) > 0:  # microseconds of quota and of period; -1: no quota
            found.append(numbers[0] / numbers[1])
    return min(found, default=None)


def _numbers(file: Path) -> list[int]:
    """Return the numbers in a file; none where it is absent or says "max"."""
    with suppress(OSError, ValueError):
        return [int(word) for word in file.read_text().split()]
    return []
