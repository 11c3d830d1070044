"""The independent check of a command row: read the call back from the derivation and hold both against the command.

Input: a row and the tool definitions. Output: nothing, or a DataError that names the row and what is wrong in it.
"""

from __future__ import annotations

import re
from typing import Any

from smolforge.corpus.synthesize.hassil_sampler import Scalar
from smolforge.corpus.synthesize.tool_schema import Tools
from smolforge.errors import DataError

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def call_from(derivation: str, tools: Tools) -> tuple[str, dict[str, Scalar]]:
    """Return (intent, arguments) that a derivation states; the tool definition says whether digits are a number."""
    intent, *lines = derivation.split("\n")
    if intent not in tools.functions:
        raise DataError(f"the derivation starts with {intent!r}, which is no tool")
    arguments: dict[str, Scalar] = {}
    for line in lines:
        slot, colon, value = line.partition(": ")
        schema = tools.functions[intent]["properties"].get(slot)
        if not colon or schema is None or slot in arguments:
            raise DataError(f"the derivation line {line!r} states no argument of {intent}")
        numeric = any(kind["type"] != "string" for kind in schema.get("anyOf", [schema]))
        arguments[slot] = _number(value) if numeric and _NUMBER.fullmatch(value) else value
    return intent, arguments


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def check_row(row: dict[str, Any], tools: Tools) -> None:
    """Check one command row; free arguments must be spans of the command, the derivation must state the call."""
    command, answer = row["messages"][-2]["content"], row["messages"][-1]
    try:
        (call,) = answer["tool_calls"]
        tools.check(command, call["name"], call["arguments"])
        for slot in row["meta"]["free"]:
            if call["arguments"][slot] not in command:
                raise DataError(f"{slot} = {call['arguments'][slot]!r} does not stand in {command!r}")
        stated = answer.get("reasoning_content")
        if (stated is not None) != (row["mode"] == "think"):
            raise DataError(f"mode {row['mode']} and reasoning_content {stated!r} do not agree")
        if stated is not None and call_from(stated, tools) != (call["name"], call["arguments"]):
            raise DataError(f"the derivation {stated!r} states another call")
    except DataError as error:
        raise DataError(f"row {row['id']}: {error}") from None
