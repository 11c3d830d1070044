"""From the fields of a response to those of a chat, which says the same in other words.

Input: ``ResponseFields``. Output: ``ChatFields``. ``Problem`` 400 where an item is not what its type says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smolforge.serve.asking import contradiction
from smolforge.serve.body import validated
from smolforge.serve.fields.chat import ChatFields
from smolforge.serve.fields.responses import LOGPROBS, Content, InputItem, NamedFunction, ResponseFields
from smolforge.serve.problems import Problem

_NEEDED = {
    "message": ("role", "content"), "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"), "reasoning": (),
}  # fmt: skip


def chat_fields(fields: ResponseFields) -> ChatFields:
    """Return the chat that a response asks for."""
    logprobs = LOGPROBS in (fields.include or [])
    if fields.top_logprobs is not None and not logprobs:
        raise Problem(400, f"top_logprobs needs include: ['{LOGPROBS}']", param="top_logprobs", code="invalid_value")
    if logprobs and fields.tools:
        raise contradiction("include", "tools")
    value: dict[str, Any] = {
        "messages": _messages(fields),
        "max_completion_tokens": fields.max_output_tokens,
        "temperature": fields.temperature,
        "top_p": fields.top_p,
        "logprobs": logprobs,
        "top_logprobs": (fields.top_logprobs or 0) if logprobs else None,
        "tools": [_tool(tool.model_dump(exclude_none=True)) for tool in fields.tools or ()],
        "tool_choice": _choice(fields.tool_choice),
        "parallel_tool_calls": fields.parallel_tool_calls,
        "response_format": _format(fields),
        "reasoning_effort": fields.reasoning.effort if fields.reasoning else None,
    }
    return validated(value, ChatFields)


def _messages(fields: ResponseFields) -> list[dict[str, Any]]:
    rows = [] if fields.instructions is None else [{"role": "system", "content": fields.instructions}]
    if isinstance(fields.input, str):
        return [*rows, {"role": "user", "content": fields.input}]
    return rows + _turns(fields.input)


def _turns(items: Sequence[InputItem]) -> list[dict[str, Any]]:
    """Return messages; what the model thought, said and called in one turn is one message."""
    rows: list[dict[str, Any]] = []
    turn: dict[str, Any] | None = None
    for i, item in enumerate(items):
        for name in _NEEDED[item.type]:
            if getattr(item, name) is None:
                text = f"input[{i}]: {name} is missing in an item of type {item.type}"
                raise Problem(400, text, param=f"input[{i}].{name}", code="invalid_value")
        if item.type == "function_call_output" or item.role not in (None, "assistant"):
            turn = None
            about = {"role": item.role} if item.role else {"role": "tool", "tool_call_id": item.call_id}
            rows.append({**about, "content": _text(item.content if item.role else item.output)})
            continue
        if turn is None:
            turn = {"role": "assistant", "content": ""}
            rows.append(turn)
        if item.type == "function_call":
            function = {"name": item.name, "arguments": item.arguments}
            turn.setdefault("tool_calls", []).append({"id": item.call_id, "function": function})
        elif item.type == "reasoning":
            turn["reasoning_content"] = turn.get("reasoning_content", "") + _text(item.content)
        else:
            turn["content"] += _text(item.content)
    return rows


def _text(content: Content | None) -> str:
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _tool(flat: dict[str, Any]) -> dict[str, Any]:
    kind = flat.pop("type")
    return {"type": kind, "function": flat}


def _choice(choice: str | NamedFunction | None) -> Any:
    if isinstance(choice, NamedFunction):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _format(fields: ResponseFields) -> dict[str, Any] | None:
    wanted = fields.text.format if fields.text else None
    if wanted is None:
        return None
    return {"type": wanted.type, **({} if wanted.schema_ is None else {"schema": wanted.schema_})}
