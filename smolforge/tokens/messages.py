"""Messages in and answers out: what a chat may contain, and how an answer's text is taken apart.

Input is messages as people and datasets write them (the OpenAI shape is accepted); ``template.py`` renders what
``check_messages`` returns. ``parse_answer`` reads generated text back into reasoning, content and tool calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smolforge.errors import DataError, nearest
from smolforge.tokens.special import END_THINK, END_TOOL_CALL, IM_END, THINK, TOOL_CALL

Mode = Literal["think", "no_think"]
Message = Mapping[str, Any]

_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "reasoning_content", "tool_calls"},
    "tool": {"role", "content", "name", "tool_call_id"},
}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class ToolCall:
    """A function call; ``arguments`` is a JSON object."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer taken apart. ``reasoning`` is None without a think block and "" for an empty one.

    ``malformed`` holds the text of tool calls that are not a JSON object with a name and arguments. ``complete`` is
    False when a think block or a tool call was never closed.
    """

    reasoning: str | None
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    malformed: tuple[str, ...] = ()
    complete: bool = True


def to_json(value: Any, where: str) -> str:
    """Return ``value`` as one line of JSON with ", " and ": ", keys in their order, as the template itself writes it.

    DataError for what JSON or the template cannot say (NaN, other types, control characters besides \\n \\r \\t).
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: not a JSON value ({error})") from None
    if re.search(r"\\[bfu]", text) and _CONTROL.search("".join(_strings(value))):
        raise DataError(f"{where}: a string holds a control character, which a prompt cannot carry")
    return text


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for item in pair for text in _strings(item)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list | tuple) else []


def check_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages for the template, tool-call arguments as JSON text; DataError names the message and the field."""
    checked = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role")
        if role not in _FIELDS:
            raise DataError(f"{where}: role {role!r}, expected {', '.join(_FIELDS)}{nearest(str(role), _FIELDS)}")
        if role == "system" and index:
            raise DataError(f"{where}: a system message can only be the first message")
        row: dict[str, Any] = {"role": role}
        for field, value in message.items():
            if field not in _FIELDS[role]:
                raise DataError(f"{where}: unknown field '{field}' in a {role} message{nearest(field, _FIELDS[role])}")
            if field == "tool_calls":
                row[field] = [_check_call(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(value or [])]
            elif value is None or isinstance(value, str):
                row[field] = value or ""
            else:
                raise DataError(f"{where}: {field} is {type(value).__name__}, expected a string")
        if "content" not in row and not row.get("tool_calls"):
            raise DataError(f"{where}: no content")
        checked.append(row)
    if not checked:
        raise DataError("messages: empty, expected at least one message")
    return checked


def _check_call(call: Any, where: str) -> dict[str, str]:
    if isinstance(call, Mapping) and "function" in call:
        _only(call, {"id", "type", "index", "function"}, where)
        call, where = call["function"], f"{where}.function"
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
        raise DataError(f"{where}: expected an object with a name and arguments")
    _only(call, {"name", "arguments"}, where)
    arguments = call.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError as error:
            raise DataError(f"{where}.arguments: not valid JSON ({error})") from None
    if not isinstance(arguments, Mapping):
        raise DataError(f"{where}.arguments: {type(arguments).__name__}, expected an object")
    return {"name": call["name"], "arguments": to_json(arguments, f"{where}.arguments")}


def _only(value: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in value:
        if key not in known:
            raise DataError(f"{where}: unknown field '{key}'{nearest(key, known)}")


def parse_answer(text: str) -> Answer:
    """Take generated text (after the assistant header) apart; a trailing ``<|im_end|>`` may be there or not."""
    text = text.removesuffix("\n").removesuffix(IM_END)
    reasoning: str | None = None
    if text.startswith(THINK):
        thought, closed, rest = text[len(THINK) :].partition(END_THINK)
        reasoning = thought.removeprefix("\n").removesuffix("\n")
        if not closed:
            return Answer(reasoning, "", complete=False)
        text = rest.removeprefix("\n")
    content, opened, rest = text.partition(TOOL_CALL)
    if not opened:
        return Answer(reasoning, content)
    parsed: list[ToolCall] = []
    malformed: list[str] = []
    complete = True
    while opened:
        end, value = _read_call(rest)
        if value is None:  # its text ends at its own close, or where the next call opens
            body, closed, _ = rest.partition(TOOL_CALL)[0].partition(END_TOOL_CALL)
            complete = complete and bool(closed)
            malformed.append(body)
            end = len(body)
        else:
            parsed.append(value)
        _, opened, rest = rest[end:].partition(TOOL_CALL)
    return Answer(reasoning, content.removesuffix("\n"), tuple(parsed), tuple(malformed), complete)


def _read_call(text: str) -> tuple[int, ToolCall | None]:
    """Read a call and its closing tag at the start of ``text``; return where it ends. A string may hold the tags."""
    start = len(text) - len(text.lstrip())
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return 0, None
    if not text[end:].lstrip().startswith(END_TOOL_CALL):
        return 0, None
    if not (isinstance(value, dict) and set(value) == {"name", "arguments"}):
        return 0, None
    if not (isinstance(value["name"], str) and isinstance(value["arguments"], dict)):
        return 0, None
    return end, ToolCall(value["name"], value["arguments"])
