"""What a request says about tools: which the model sees, and which constraint its answer is under.

Input: the fields ``tools``, ``tool_choice``, ``parallel_tool_calls``. Output: ``ToolUse``. ``Problem`` 400 where they
contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smolforge.engine.engine import Engine
from smolforge.generator import Constraint
from smolforge.serve.fields.chat import NamedTool
from smolforge.serve.fields.chat import Tool as ToolField
from smolforge.serve.problems import Problem
from smolforge.tasks.tool_grammar import AUTO, NONE, REQUIRED, tool_constraint
from smolforge.tasks.tool_prompt import tool_messages
from smolforge.tasks.tools import Tool, tools_of


@dataclass(frozen=True)
class ToolUse:
    """The tools of one request. ``choice`` is "none" where no call may be made."""

    tools: tuple[Tool, ...] = ()
    choice: str = NONE
    parallel: bool = True

    @property
    def calls(self) -> bool:
        """Whether the answer may hold calls."""
        return self.choice != NONE

    def messages(
        self, engine: Engine, messages: list[dict[str, Any]]
    ) -> tuple[Sequence[dict[str, Any]], list[dict[str, Any]] | None]:
        """Return the messages, and the tools for the template, as this model's template takes them."""
        if not self.calls and not any(row["role"] == "tool" or row.get("tool_calls") for row in messages):
            return messages, None
        rows, tools = tool_messages(engine.codec, messages, self.tools if self.calls else ())
        return [dict(row) for row in rows], tools

    def constraint(self, engine: Engine) -> Constraint | None:
        """Return a fresh constraint for one answer."""
        if not self.calls:
            return None
        return tool_constraint(engine, self.tools, choice=self.choice, parallel=self.parallel)


def tool_use(
    tools: Sequence[ToolField] | None, choice: str | NamedTool | None, parallel: bool | None
) -> ToolUse:  # fmt: skip
    """Return what the fields say; ConfigError where a tool is wrong."""
    name = choice.function.name if isinstance(choice, NamedTool) else None
    if not tools:
        if name is not None or choice == REQUIRED:
            raise Problem(400, "tool_choice asks for a call, but there are no tools", param="tool_choice")
        return ToolUse()
    known = tools_of(tool.model_dump(exclude_none=True) for tool in tools)
    if name is not None and name not in {tool.name for tool in known}:
        raise Problem(400, f"tool_choice: there is no tool '{name}'", param="tool_choice")
    if name in (AUTO, NONE, REQUIRED):
        raise Problem(400, f"tool_choice: a tool named '{name}' cannot be asked for by name", param="tool_choice")
    return ToolUse(known, name or str(choice or AUTO), parallel is not False)
