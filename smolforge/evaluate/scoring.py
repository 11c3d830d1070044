"""What is right and what kind of wrong: whole-call exact match, error classes, validity, and whether the mode was kept.

Input: a wanted call or text and an answer. Output: plain values that ``calls`` and ``reasoning`` count.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from smolforge.tasks.call_grammar import copied_kinds
from smolforge.tasks.chat import ChatAnswer
from smolforge.tokens.messages import ToolCall
from smolforge.tokens.special import END_THINK, THINK

ErrorClass = Literal["no_call", "wrong_function", "wrong_slots", "wrong_closed_value", "wrong_copied_value"]
ERROR_CLASSES: tuple[ErrorClass, ...] = (
    "no_call",
    "wrong_function",
    "wrong_slots",
    "wrong_closed_value",
    "wrong_copied_value",
)
_CALL_BODY = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)


class ToolIndex:
    """Which slots of which function are copied from the command."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        bodies = [tool.get("function", tool) for tool in tools]
        self._copied = {
            (body["name"], slot)
            for body in bodies
            for slot, schema in body.get("parameters", {}).get("properties", {}).items()
            if copied_kinds(schema)
        }

    def is_copied(self, function: str, slot: str) -> bool:
        """Say whether the slot takes what stands in the command."""
        return (function, slot) in self._copied


def call_error(wanted: ToolCall, got: ToolCall | None, tools: ToolIndex) -> ErrorClass | None:
    """Return None for an exact match of name and arguments, otherwise the first thing that is wrong, in that order."""
    if got is None:
        return "no_call"
    if got.name != wanted.name:
        return "wrong_function"
    if set(got.arguments) != set(wanted.arguments):
        return "wrong_slots"
    wrong = [slot for slot, value in wanted.arguments.items() if not _same(value, got.arguments[slot])]
    if not wrong:
        return None
    copied_only = all(tools.is_copied(wanted.name, slot) for slot in wrong)
    return "wrong_copied_value" if copied_only else "wrong_closed_value"


def _same(wanted: Any, got: Any) -> bool:
    """Compare JSON values; true is not 1, 1.0 is 1, and Unicode is compared in its composed form."""
    if isinstance(wanted, str) and isinstance(got, str):
        return unicodedata.normalize("NFC", wanted) == unicodedata.normalize("NFC", got)
    return isinstance(wanted, bool) == isinstance(got, bool) and bool(wanted == got)


def json_parses(answer: ChatAnswer) -> bool:
    """Say whether a tool-call block follows the think block, and each such block is JSON with name and arguments.

    What stands inside a think block is no call for any reader, so it is not looked at.
    """
    bodies = _CALL_BODY.findall(answer.text.rpartition("</think>")[2])
    if not bodies:
        return False
    try:
        parsed = [json.loads(body) for body in bodies]
    except json.JSONDecodeError:
        return False
    return all(isinstance(p, dict) and isinstance(p.get("arguments"), dict) and "name" in p for p in parsed)


def mode_obeyed(mode: str, answer: ChatAnswer) -> bool:
    """Say whether the answer has the shape its mode asks for.

    no_think: the prompt already holds the empty think block, so the answer opens none and is not empty. think: one
    closed, non-empty think block, then an answer. Both must end by themselves.
    """
    if answer.finish != "stop":
        return False
    if mode == "no_think":
        return THINK not in answer.text and END_THINK not in answer.text and bool(answer.text.strip())
    before, closed, after = answer.text.partition(END_THINK)
    thought = before.replace(THINK, "", 1).strip()
    return bool(closed and thought and after.strip()) and END_THINK not in after and THINK not in after


def same_text(wanted: str, got: str) -> bool:
    """Compare two answers in words: composed Unicode, white space runs as one space, nothing else forgiven."""

    def normal(text: str) -> str:
        return " ".join(unicodedata.normalize("NFC", text).split())

    return normal(wanted) == normal(got)
