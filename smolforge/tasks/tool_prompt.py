"""How a model learns of its tools: by its own chat template where that shows them, else by words of ours.

Input: a conversation in the OpenAI shape, and tools. Output: messages and a tool list as the model's template takes
them. What a template shows is found out by rendering a small conversation, once for each codec.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from smolforge.errors import DataError, FormatError
from smolforge.tasks.tools import Tool
from smolforge.tokens.messages import Message
from smolforge.tokens.special import END_TOOL_CALL, END_TOOL_RESPONSE, TOOL_CALL, TOOL_RESPONSE

if TYPE_CHECKING:
    from smolforge.engine.codec import Codec

SYSTEM = f"""\
You can call functions. To call one, answer with its name and arguments as JSON between tags, in this form:
{TOOL_CALL}
{{"name": "function name", "arguments": {{"parameter": "value"}}}}
{END_TOOL_CALL}
Functions:
"""
_TOOL, _CALLED, _RETURNED = "probe_tool", "probe_argument", "probe_result"
_KNOWN: WeakKeyDictionary[Codec, Shown] = WeakKeyDictionary()


@dataclass(frozen=True)
class Shown:
    """What a template shows: the tool list, the calls of an earlier turn, and what they returned."""

    tools: bool
    calls: bool
    results: bool


def shown_by(codec: Codec) -> Shown:
    """Return what the codec's template shows. One that does not know tools is taken to know nothing of them."""
    if codec not in _KNOWN:
        ask: Message = {"role": "user", "content": "?"}
        call = {"name": _TOOL, "arguments": {"x": _CALLED}}
        called: Message = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}
        returned: Message = {"role": "tool", "name": _TOOL, "content": _RETURNED}
        tools = _TOOL in _rendered(codec, [ask])
        text = _rendered(codec, [ask, called, returned]) if tools else ""
        _KNOWN[codec] = Shown(tools, _CALLED in text, _RETURNED in text)
    return _KNOWN[codec]


def tool_messages(
    codec: Codec, messages: Sequence[Message], tools: Sequence[Tool]
) -> tuple[Sequence[Message], list[dict[str, Any]] | None]:
    """Return the messages and the ``tools`` option to ask the engine with.

    Earlier calls and their results keep the template's form where it has one; otherwise they become text, the tool list
    part of the system message. Arguments given as JSON text are read; DataError where they are none.
    """
    shown = shown_by(codec)
    rows = [_with_read_calls(message, f"messages[{i}]") for i, message in enumerate(messages)]
    if not shown.calls:
        rows = [_with_written_calls(row) for row in rows]
    if not shown.results:
        rows = _with_written_results(rows)
    if tools and not shown.tools:
        rows = _with_system(rows, SYSTEM + "\n".join(_line(tool) for tool in tools))
    return rows, [tool.definition for tool in tools] if tools and shown.tools else None


def written_call(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as a model writes it."""
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"{TOOL_CALL}\n{call}\n{END_TOOL_CALL}"


def _line(tool: Tool) -> str:
    about = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps({key: value for key, value in about.items() if value}, ensure_ascii=False)


def _rendered(codec: Codec, messages: Sequence[Message]) -> str:
    """Return the prompt's text, none where the template refuses or fails."""
    about = {"name": _TOOL, "description": "", "parameters": {"type": "object", "properties": {}}}
    try:
        return codec.decode(codec.prompt(messages, "no_think", [{"type": "function", "function": about}]))
    except (DataError, FormatError):
        return ""


def _with_read_calls(message: Message, where: str) -> dict[str, Any]:
    row = dict(message)
    if row.get("tool_calls"):
        row["tool_calls"] = [_read(call, f"{where}.tool_calls[{i}]") for i, call in enumerate(row["tool_calls"])]
        row["content"] = row.get("content") or ""
    return row


def _read(call: Mapping[str, Any], where: str) -> dict[str, Any]:
    function = call.get("function", call)
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}.arguments: not valid JSON ({error})") from None
    if not isinstance(arguments, Mapping) or not isinstance(function.get("name"), str):
        raise DataError(f"{where}: expected a function with a name, and arguments that are an object")
    made = {"type": "function", "function": {"name": function["name"], "arguments": dict(arguments)}}
    return {"id": call["id"], **made} if "id" in call else made


def _with_written_calls(row: dict[str, Any]) -> dict[str, Any]:
    calls = [written_call(**call["function"]) for call in row.pop("tool_calls", None) or ()]
    return {**row, "content": "\n".join([part for part in (row.get("content"), *calls) if part])}


def _with_written_results(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let results be what the user says next, those of one turn together."""
    made: list[dict[str, Any]] = []
    joins = False
    for row in rows:
        if row["role"] != "tool":
            made.append(row)
        else:
            text = f"{TOOL_RESPONSE}\n{row.get('content') or ''}\n{END_TOOL_RESPONSE}"
            if joins:
                text = f"{made.pop()['content']}\n{text}"
            made.append({"role": "user", "content": text})
        joins = row["role"] == "tool"
    return made


def _with_system(rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    if rows and rows[0]["role"] == "system":
        return [{**rows[0], "content": f"{rows[0].get('content') or ''}\n\n{text}"}, *rows[1:]]
    return [{"role": "system", "content": text}, *rows]
