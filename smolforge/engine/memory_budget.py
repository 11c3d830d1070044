"""How much memory the key-value pages may take, so that the machine never swaps.

Input: what the system says is available, for the machine and for the container. Output: bytes.
"""

from __future__ import annotations

import os
from pathlib import Path

from smolforge.errors import ConfigError
from smolforge.store.control_groups import group_folders

DEFAULT_BYTES = 1 << 30
LEAST_PAGES = 4
SHARE = 0.5  # of what is available, at most: the rest is for files in the page cache and for others
# Files of a group and the line of its statistics that can be taken back, by version of the interface.
_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_bytes() -> int:
    """Return the memory that can be used without swapping: the machine's, or what the container's limit or the
    process's own (``ulimit -v``) leaves where that is less."""
    limits = [left for left in (_container_bytes(), _process_bytes()) if left is not None]
    return min([_machine_bytes(), *limits])


def _machine_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:  # no such file: assume that half of the memory is in use
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 2 * DEFAULT_BYTES


def _container_bytes() -> int | None:
    """Return what the tightest of this process's groups, its own and those around it, has left; None: no limit."""
    left = [_group_bytes(folder, *_FILES[version]) for version, folder in group_folders("memory")]
    return min((one for one in left if one is not None), default=None)


def _process_bytes() -> int | None:
    """Return what is left of this process's limit on address space; None: no limit, or the system does not tell."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        return max(0, limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize())
    except (ImportError, OSError, ValueError):
        return None


def _group_bytes(folder: Path, limit: str, used: str, idle: str) -> int | None:
    try:
        bound = int((folder / limit).read_text())  # no number: "max"
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, bound - int((folder / used).read_text()) + int(statistics.get(idle, 0)))
    except (OSError, ValueError):
        return None


def kv_pages(page_bytes: int, context_pages: int, asked: int | None) -> int:
    """Return how many pages to have: ``asked`` bytes' worth, else a gigabyte's or one full context's, within reason.

    Within reason is half of what is available; ``asked`` is refused only beyond all of it. ConfigError also where not
    even a few pages fit.
    """
    if asked is not None:
        if asked > (free := available_bytes()):
            raise ConfigError(
                f"kv_bytes: {asked / 1e6:.0f} MB of key-value memory are more than the {free / 1e6:.0f} MB available; "
                "give less, or free some"
            )
        pages = asked // page_bytes
    else:
        bound = int(available_bytes() * SHARE) // page_bytes
        pages = min(bound, max(DEFAULT_BYTES // page_bytes, context_pages))
    if pages < LEAST_PAGES:
        given = asked if asked is not None else int(available_bytes() * SHARE)
        raise ConfigError(
            f"{given / 1e6:.0f} MB of key-value memory is too little: four pages take {4 * page_bytes / 1e6:.0f} MB; "
            "give more, or a smaller type (kv='q8' or 'q4')"
        )
    return pages
