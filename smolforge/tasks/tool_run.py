"""Run one function that a model called: approved first, checked arguments, bounded in time, its errors caught.

Input: the call, the tools and who approves. Output: ``ToolResult``, whose text the model is told.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smolforge.errors import DataError, nearest
from smolforge.tasks.tools import Tool
from smolforge.tokens.messages import ToolCall

Approve = Callable[[ToolCall], bool]
MAX_OUTPUT = 16_000  # characters of one result that a model is told


@dataclass(frozen=True)
class ToolResult:
    """What became of one call: ``output`` is what the model was told, ``error`` why there is no value, ``seconds`` how
    long the function ran."""

    call: ToolCall
    output: str
    error: str | None = None
    seconds: float = 0.0


def always(call: ToolCall) -> bool:
    """Approve every call."""
    return True


def run_tool(call: ToolCall, tools: Sequence[Tool], approve: Approve, timeout: float) -> ToolResult:
    """Run the call. Whatever goes wrong becomes the result's error; only ``approve`` itself may raise.

    After ``timeout`` seconds it is not waited for any longer; Python cannot stop the function, whose thread goes on.
    """
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        return refused(call, f"there is no function '{call.name}'{nearest(call.name, [tool.name for tool in tools])}")
    if not approve(call):
        return refused(call, "the person did not allow this call")
    began = time.monotonic()
    value, error = _within(lambda: tool.run(call.arguments), timeout)
    seconds = time.monotonic() - began
    if error is not None:
        return ToolResult(call, f"error: {error}"[:MAX_OUTPUT], error, seconds)
    return ToolResult(call, _as_text(value), None, seconds)


def refused(call: ToolCall, reason: str) -> ToolResult:
    """Return the result of a call that was not run."""
    return ToolResult(call, f"error: {reason}", reason)


def _within(run: Callable[[], Any], seconds: float) -> tuple[Any, str | None]:
    """Return the value and None, or None and what went wrong."""
    made: list[tuple[Any, str | None]] = []

    def work() -> None:
        try:
            made.append((run(), None))
        except DataError as error:  # our own word on the arguments
            made.append((None, str(error)))
        except BaseException as error:  # whatever the person's function raises, an exit included
            made.append((None, f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, name="tool", daemon=True)
    thread.start()
    thread.join(seconds)
    return made[0] if made else (None, f"no result after {seconds:g} seconds")


def _as_text(value: Any) -> str:
    """Return a value as text or JSON, cut where it is too long for a prompt."""
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False, default=_plain)
        except (TypeError, ValueError, RecursionError):
            value = str(value)
    text = str(value).encode(errors="replace").decode()
    return text if len(text) <= MAX_OUTPUT else f"{text[:MAX_OUTPUT]}… (cut; {len(text):,} characters in all)"


def _plain(value: Any) -> Any:
    """Return what JSON has no word for: a Pydantic model as an object, anything else as its text."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
