"""One writer at a time for one file of the cache, also between this program and the hub's own library.

Input: the lock's path (``.locks/models--owner--repo/<digest>.lock`` in both). The system drops a lock when its holder
dies. Where there is no ``fcntl`` two writers only cost bandwidth: each file is checked before it is renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock, waiting for it as long as it takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
