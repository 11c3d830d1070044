"""Questions and their wanted answers, read from the held-out conversation sets.

Input: ``<set>.jsonl`` of the synthesize stage. Output: ``Item``s, subsampled by a keyed hash of their ids.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.store import digest_bytes
from smolforge.tokens.messages import Mode, ToolCall


@dataclass(frozen=True)
class Item:
    """One question. ``calls`` and ``content`` are the wanted answer; ``meta`` is passed through to the answer file."""

    id: str
    language: str
    mode: Mode
    messages: Sequence[Mapping[str, Any]]
    content: str
    calls: tuple[ToolCall, ...]
    source: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The prompt as one string that does not depend on the mode: what makes two items the same problem."""
        return json.dumps(self.messages, sort_keys=True, ensure_ascii=False)


def read_items(path: Path) -> list[Item]:
    """Read a conversation set; DataError names the file and line of a row that is no question with an answer."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; the synthesize stage writes it")
    with path.open(encoding="utf-8") as lines:
        return [_item(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _item(line: str, where: str) -> Item:
    try:
        row = json.loads(line)
        *messages, wanted = row["messages"]
        calls = tuple(ToolCall(call["name"], call["arguments"]) for call in wanted.get("tool_calls") or ())
        if wanted["role"] != "assistant" or not messages:
            raise DataError(f"{where}: expected a prompt and, last, the wanted answer as an assistant message")
        return Item(
            str(row["id"]),
            row["language"],
            row["mode"],
            messages,
            wanted.get("content") or "",
            calls,
            row.get("source", ""),
            row.get("meta", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: not a conversation row ({type(error).__name__}: {error})") from None


def subsample(items: Iterable[Item], count: int | None, seed: int) -> list[Item]:
    """Return ``count`` items (all for None), chosen by a hash of (seed, id), in their original order."""
    known = list(items)
    if count is None or len(known) <= count:
        return known
    ranked = sorted(known, key=lambda item: digest_bytes(f"{seed}/evaluate/{item.id}".encode()))
    kept = {id(item) for item in ranked[:count]}
    return [item for item in known if id(item) in kept]


def by_language(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Group items by language, languages in the order they first appear."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.language].append(item)
    return dict(groups)


def per_language(items: Iterable[Item], count: int | None, seed: int) -> list[Item]:
    """Subsample each language to ``count`` items."""
    return [item for group in by_language(items).values() for item in subsample(group, count, seed)]
