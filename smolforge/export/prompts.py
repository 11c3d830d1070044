"""The held-out conversations that exports are compared on, and the ones that calibrate quantization.

In: a conversation set of the synthesize stage and the codec. Out: prompts as token ids with the wanted answers. Which
rows are taken depends on (seed, row id) alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.store import digest_json
from smolforge.tokens.inputs import read_jsonl
from smolforge.tokens.messages import ToolCall, parse_answer
from smolforge.tokens.template import ChatCodec


@dataclass(frozen=True)
class Item:
    """A prompt (token ids) and the calls its answer should make (empty: the set wants none)."""

    prompt: list[int]
    calls: tuple[ToolCall, ...]

    def answered_by(self, text: str) -> bool:
        """Whether a generated answer makes exactly the wanted calls."""
        answer = parse_answer(text)
        return answer.complete and not answer.malformed and answer.tool_calls == self.calls


def choose_rows(path: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Return ``count`` rows of a conversation set (all, if it has fewer); DataError for an empty or broken one."""
    rows = sorted(read_jsonl(path), key=lambda row: digest_json([seed, "export", row.get("id")]))
    if not rows:
        raise DataError(f"{path}: the set is empty, so there is nothing to compare exports on")
    return rows[:count]


def read_items(path: Path, codec: ChatCodec, count: int, seed: int) -> list[Item]:
    """Return prompts and wanted answers of a held-out set."""
    items = []
    for row in choose_rows(path, count, seed):
        try:
            *asked, wanted = row["messages"]
            calls = tuple(ToolCall(call["name"], call["arguments"]) for call in wanted.get("tool_calls") or ())
            items.append(Item(codec.prompt(asked, mode=row["mode"], tools=row.get("tools")), calls))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: row {row.get('id')!r} is not a question with its answer ({error!r})") from None
    return items


def read_sequences(path: Path, codec: ChatCodec, count: int, seed: int, limit: int) -> list[list[int]]:
    """Return whole conversations as token ids, cut to ``limit`` tokens, for calibration."""
    encoded: Sequence[Any] = codec.encode_many(choose_rows(path, count, seed))
    return [row.ids[:limit] for row in encoded]
