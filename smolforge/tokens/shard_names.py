"""What shards of corpus text are called, so that a mixture can name a language, a source, or both.

Input is a document's source and language; output is the shard's name. ``language``: ``text-fr``, ``code``; ``source``:
``fineweb_edu``; ``source-language``: ``fineweb_edu.fr``, of which ``fineweb_edu.*`` and ``*.fr`` name many.
"""

from __future__ import annotations

import re
from typing import Literal

from smolforge.errors import DataError
from smolforge.tokens.mixture import NOT_FOR_PATTERNS

ShardsBy = Literal["language", "source", "source-language"]
_UNSAFE = re.compile(r"[^\w.-]+")


def text_shard(language: str) -> str:
    """Name of the shard of a corpus language: ``text-fr``, but ``code`` and ``math`` as they are."""
    return f"text-{language}" if len(language) == 2 else language


class ShardNames:
    """Names for one run of the stage; DataError where two sources would share a shard."""

    def __init__(self, by: ShardsBy) -> None:
        self.by = by
        self._sources: dict[str, str] = {}

    def name(self, source: str, language: str) -> str:
        """Return the name of the shard that a document belongs to."""
        if self.by == "language":
            return text_shard(language)
        safe = _UNSAFE.sub("-", source).strip(".-") or "source"
        if self._sources.setdefault(safe, source) != source:
            raise DataError(
                f"sources '{source}' and '{self._sources[safe]}' would share the shard '{safe}'; rename one"
            )
        if safe.startswith(NOT_FOR_PATTERNS):
            raise DataError(f"source '{source}': shards called '{safe}' are held-out text; rename the source")
        return safe if self.by == "source" else f"{safe}.{language}"
