"""Replies kept by content: what was answered once is never asked again, whatever was killed in between.

Input: keys and samples. Output: an SQLite file. SQLite because a lookup reads one row of a file larger than memory, a
commit is all or nothing under kill -9 and power cuts (write-ahead log, fsync at every commit), and several processes
may share it. Rows are only ever added. It holds prompts and replies as text; no address and no key of an endpoint.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from smolforge.corpus.synthesize.request import Sample
from smolforge.errors import DataError

FORMAT = 1  # PRAGMA user_version
_TABLES = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, request TEXT NOT NULL, reply TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failures (number INTEGER PRIMARY KEY, key TEXT NOT NULL, request TEXT NOT NULL,
  reason TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS failures_by_key ON failures (key);
"""
_WAIT_SECONDS = 60.0  # for another process that is writing


class ReplyCache:
    """Finds and keeps samples; any thread may call. DataError where the file is torn or something else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level=None)
            self._open()
        except sqlite3.Error as error:
            raise DataError(f"{path}: not a usable cache of replies ({error}); move it away to begin anew") from None

    def _open(self) -> None:
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        if version not in (0, FORMAT):
            raise DataError(f"{self.path}: a cache of replies of format {version}; this version reads {FORMAT}")
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(_TABLES)
        self._file.execute(f"PRAGMA user_version = {FORMAT}")

    def find(self, key: str, failures: bool = True) -> Sample | None:
        """Return what is kept under a key: the reply, else (with ``failures``) the last failure, else None."""
        found = self._ask("SELECT reply FROM replies WHERE key = ?", (key,))
        if found is not None:
            reply = json.loads(found)
            return Sample(key, **{**reply, "tokens": tuple(reply["tokens"])})
        if not failures:
            return None
        reason = self._ask("SELECT reason FROM failures WHERE key = ? ORDER BY number DESC LIMIT 1", (key,))
        return None if reason is None else Sample(key, failure=reason)

    def keep(self, sample: Sample, request: Mapping[str, Any]) -> None:
        """Add a reply or a failure; it is on the disk when this returns. A reply that is there already stays."""
        asked = json.dumps(request, ensure_ascii=False, sort_keys=True)
        if sample.failure is not None:
            row = (sample.key, asked, sample.failure)
            self._ask("INSERT INTO failures (key, request, reason) VALUES (?, ?, ?)", row)
            return
        reply = {name: value for name, value in asdict(sample).items() if name not in ("key", "failure")}
        text = json.dumps(reply, ensure_ascii=False)
        self._ask("INSERT OR IGNORE INTO replies (key, request, reply) VALUES (?, ?, ?)", (sample.key, asked, text))

    def counts(self) -> tuple[int, int]:
        """Return how many replies and how many failures are kept."""
        replies, failures = (self._ask(f"SELECT count(*) FROM {table}", ()) for table in ("replies", "failures"))
        return int(replies), int(failures)

    def _ask(self, statement: str, values: tuple[object, ...]) -> Any:
        """Run one statement, which is one transaction; return the first column of its first row, or None."""
        with self._lock:
            try:
                row = self._file.execute(statement, values).fetchone()
            except sqlite3.Error as error:
                raise DataError(f"{self.path}: {error}") from None
        return None if row is None else row[0]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
