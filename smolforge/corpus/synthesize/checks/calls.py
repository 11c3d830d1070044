"""Checks on tool calls and on agreement: calls fit their schemas and use what was said; most samples say the same.

Input: a candidate. Output: findings.
"""

from __future__ import annotations

from typing import Any

from smolforge.corpus.synthesize.candidate import PASSED, Candidate, Finding
from smolforge.corpus.synthesize.json_schema import problems
from smolforge.corpus.synthesize.limits import Limits


def tool_call(candidate: Candidate, limits: Limits) -> Finding:
    """Every call names a tool that was shown, its arguments fit the schema, and free text stands in the request."""
    tools = {
        tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in candidate.values["tools_json"]
    }
    calls, request = candidate.values.get("calls"), str(candidate.values["request"])
    if not calls:
        return Finding("there is no call")
    names = [call.get("name") for call in calls]
    for call in calls:
        name, arguments = call.get("name"), call.get("arguments")
        if name not in tools:
            return Finding(f"no tool is called {name!r}")
        wrong = problems(arguments, tools[name])
        if wrong:
            return Finding(f"{name}: {wrong[0]}")
        for path, value in _free_texts(arguments, tools[name]):
            if value.casefold() not in request.casefold():
                return Finding(f"{name}.{path} is {value!r}, which {request[:120]!r} does not say")
    wanted = candidate.values["tool_name"]
    return PASSED if wanted in names else Finding(f"calls {names}, and the request was for {wanted!r}")


def _free_texts(arguments: Any, schema: Any) -> list[tuple[str, str]]:
    """Return (name, value) of string arguments that are neither choices nor of a format that a request words freely."""
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return [
        (name, value)
        for name, value in sorted(arguments.items())
        if isinstance(value, str) and value and not {"enum", "const", "format"} & set(properties.get(name, {}))
    ]


def self_consistency(candidate: Candidate, limits: Limits) -> Finding:
    """More than the limit's share of the samples agree on the answer; one sample alone shows nothing and passes."""
    if candidate.votes is None:
        return PASSED
    agreeing, asked = candidate.votes
    share = agreeing / asked
    measures = {"agreement": round(share, 4), "samples": asked}
    if agreeing == 0:
        return Finding(f"none of {asked} samples has an answer", measures)
    if asked > 1 and share <= limits.agreement:
        return Finding(f"{agreeing} of {asked} samples agree, expected more than {limits.agreement:g}", measures)
    return Finding(measures=measures)
