"""One run at a time in one output folder: an advisory lock that the system drops when its holder dies.

The file ``.lock`` also says who holds it, so that the second run can tell the person.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smolforge.errors import ArtifactError

PATIENCE_SECONDS = 2.0
# A killed runner's stage process holds the lock until it notices, which takes a while on a busy machine.
ORPHAN_SECONDS = 30.0


@contextmanager
def hold(folder: Path) -> Iterator[int]:
    """Hold the lock of ``folder`` and yield its file descriptor; ArtifactError names the holder when it is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_me()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    began = time.monotonic()
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - began > (ORPHAN_SECONDS if _holder_died(path) else PATIENCE_SECONDS):
                raise ArtifactError(
                    f"{path.parent}: another run is writing here ({_holder(path)}); wait for it, stop it, "
                    "or give this one its own folder with output=..."
                ) from None
            time.sleep(0.1)


def _me() -> dict[str, str | int]:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "host": platform.node(), "since": since}


def _holder_died(path: Path) -> bool:
    """Whether the run that took the lock is dead, on this host: what holds the lock still is about to end."""
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        if who["host"] != platform.node():
            return False
        os.kill(int(who["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError):
        return False
    return False


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError):
        return "process unknown"
