"""What has been answered so far, kept so that a killed job goes on where it was.

Input: the outcome of each row, in order. Output: a folder ``OUT.work``: ``plan.json`` says which job it is of,
``rows.jsonl`` holds one line a row, written the moment it is there. A line that was torn is cut off at the next start,
so its row alone is answered again. A later line about an earlier row (a failed one, tried again) replaces it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from smolforge.errors import ConfigError, DataError
from smolforge.store.atomic import fsync_path, read_json, write_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PLAN, ROWS, LOCK = "plan.json", "rows.jsonl", "lock"
SYNC_SECONDS = 2.0  # what a power cut may cost; a killed process loses nothing that was written
Outcome = Mapping[str, Any] | str  # a row's new columns, or what went wrong


class Journal:
    """Rows answered so far: ``rows`` of them, from the first on; ``failed``: those whose newest outcome is an error.

    ConfigError where ``folder`` belongs to another job (``plan`` differs) or another process is at work on it.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder, self.rows = folder, 0
        self.failed: set[int] = set()
        self._later: dict[int, Outcome] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / LOCK)
        try:
            _same_plan(folder / PLAN, plan)
            self._file = self._opened(folder / ROWS)
        except BaseException:
            os.close(self._lock)
            raise
        self._synced = time.monotonic()

    def add(self, row: int, outcome: Outcome) -> None:
        """Keep the outcome of a row: the next one, or one that failed before."""
        assert row == self.rows or row in self.failed
        entry = {"row": row, "error": outcome} if isinstance(outcome, str) else {"row": row, "values": dict(outcome)}
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        self._take(row, outcome)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Put everything on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the newest outcome of every row, in order."""
        expected = 0
        with (self.folder / ROWS).open("rb") as lines:
            for line in lines:
                row, outcome = _entry(line)
                if row == expected:
                    expected += 1
                    yield self._later.get(row, outcome)

    def remove(self) -> None:
        """Remove the folder: all is done."""
        for name in (ROWS, PLAN, LOCK):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # something else lies there; it is not ours
            self.folder.rmdir()

    def close(self) -> None:
        """Let others in."""
        self._file.close()
        os.close(self._lock)

    def _opened(self, path: Path) -> BinaryIO:
        """Read what is there, cut a torn end off, and open it for more."""
        file = path.open("a+b")
        file.seek(0)
        whole = 0
        for line in file:
            try:
                row, outcome = _entry(line)
            except DataError:
                break
            if not line.endswith(b"\n") or not (row == self.rows or row in self.failed):
                break
            self._take(row, outcome)
            whole += len(line)
        file.truncate(whole)
        fsync_path(path.parent)
        return file

    def _take(self, row: int, outcome: Outcome) -> None:
        if row < self.rows:
            self._later[row] = outcome
        self.rows = max(self.rows, row + 1)
        if isinstance(outcome, str):
            self.failed.add(row)
        else:
            self.failed.discard(row)


def _entry(line: bytes) -> tuple[int, Outcome]:
    try:
        entry = json.loads(line)
        return int(entry["row"]), entry["error"] if "error" in entry else dict(entry["values"])
    except (ValueError, KeyError, TypeError):
        raise DataError("a torn line") from None


def _same_plan(path: Path, plan: Mapping[str, Any]) -> None:
    if not path.exists():
        write_json(path, dict(plan))
        return
    kept = read_json(path)
    other = [name for name in plan if not isinstance(kept, dict) or kept.get(name) != plan[name]]
    if other:
        raise ConfigError(
            f"{path.parent}: a job with another {' and another '.join(other)} was begun here; give another output, or "
            "remove the folder to begin again"
        )


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigError(f"{path.parent}: another process is at work on this output") from None
    return descriptor
