"""Boilerplate lines: what the pages of one host repeat at their edges and in blocks is cut, not learned.

Input: alive documents, by host (or source where there is no host). Output: one sorted file of line keys, and the text of
a document without them.
"""

from __future__ import annotations

from pathlib import Path

from smolforge.corpus.dedup_tables import Pool, Waves

STEP = "line_dedup"


def count_lines(pool: Pool, config: object, runner: Waves) -> Path:
    """Return a ``.npy`` file, uint64, sorted: keys of the lines that are boilerplate on their host."""
    raise NotImplementedError


def cut_lines(text: str, host: str, label: str, boilerplate: object) -> tuple[str, int]:
    """Return the text without its host's boilerplate lines, and how many were cut."""
    raise NotImplementedError
