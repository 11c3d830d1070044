"""Function definitions that tool-call data is made for: which are shown, which is wanted, what a call must look like.

Input: a JSON file with a list of functions as OpenAI clients write them. Output: what prompts name, and the schema of
calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.store.atomic import read_json

SHOWN = 4  # tools an assistant can choose from: the wanted one and others
MAX_CALLS = 3


@dataclass(frozen=True)
class Toolbox:
    """The definitions of one file, each ``{"type": "function", "function": {name, description, parameters}}``."""

    tools: tuple[dict[str, Any], ...]

    @classmethod
    def open(cls, path: Path) -> Toolbox:
        """Read a file; DataError names the entry that is no function definition."""
        entries = read_json(path)
        if not isinstance(entries, list) or not entries:
            raise DataError(f"{path}: expected a list of function definitions")
        tools = []
        for number, entry in enumerate(entries, 1):
            function = entry.get("function", entry) if isinstance(entry, dict) else None
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                raise DataError(f"{path}: entry {number} has no function.name")
            if not isinstance(function.get("parameters", {}), dict):
                raise DataError(f"{path}: entry {number} ({function['name']}): parameters is no JSON schema")
            tools.append({"type": "function", "function": function})
        return cls(tuple(tools))

    def given(self, draw: Callable[[str], float]) -> dict[str, Any]:
        """Return the values of one sample: ``tool`` and ``tools`` as text, the same as JSON, the form of its calls.

        ``draw``: a number in [0, 1) for each purpose; it chooses the wanted tool and those beside it.
        """
        wanted = self.tools[int(draw("tool") * len(self.tools))]
        name = wanted["function"]["name"]
        others = [tool for tool in self.tools if tool is not wanted]
        beside = sorted(others, key=lambda tool: draw(f"beside {tool['function']['name']}"))[: SHOWN - 1]
        shown = sorted([wanted, *beside], key=lambda tool: draw(f"order {tool['function']['name']}"))
        return {
            "tool_name": name,
            "tool": json.dumps(wanted["function"], ensure_ascii=False),
            "tools": "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in shown),
            "tools_json": shown,
            "calls_form": _calls_form(shown),
        }


def _calls_form(tools: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON schema of ``{"calls": [{"name", "arguments"}]}`` for these tools."""
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                "arguments": tool["function"].get("parameters") or {"type": "object", "properties": {}},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    many = {"type": "array", "minItems": 1, "maxItems": MAX_CALLS, "items": {"anyOf": calls}}
    return {"type": "object", "properties": {"calls": many}, "required": ["calls"], "additionalProperties": False}
