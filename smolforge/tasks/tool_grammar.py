"""Answers that are calls of given tools, or free text up to the first call: the grammar of both, and reading them back.

Input: tools, and whether the model may, must or must not call. Output: a Lark grammar for ``llguidance``, or a
constraint made of it. A call is ``<tool_call>\\n{"name": …, "arguments": …}\\n</tool_call>`` (the form Hermes, Qwen and
SmolLM3 were trained on), its arguments by the tool's own JSON schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from smolforge.engine.constraint_forms import MAX_SCHEMA_BYTES, checked_schema
from smolforge.engine.schema_checks import canonical, walk
from smolforge.errors import ConfigError, nearest
from smolforge.tasks.tools import Tool, tools_of
from smolforge.tokens.messages import ToolCall, parse_answer
from smolforge.tokens.special import END_TOOL_CALL, TOOL_CALL

if TYPE_CHECKING:
    from smolforge.engine.constraints import GrammarConstraint
    from smolforge.engine.engine import Engine

AUTO, NONE, REQUIRED = "auto", "none", "required"
MAX_CALLS = 8  # in one answer: a small model that is free to go on repeats itself
MAX_STRING = 16_000  # characters of an argument whose schema sets no bound: a file to write must fit
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_BOUNDED = {"maxLength", "pattern", "format", "enum", "const"}

Tools = Iterable[Tool | Callable[..., Any] | Mapping[str, Any]]


def tool_constraint(
    engine: Engine, tools: Tools, *, choice: str = AUTO, parallel: bool = True
) -> GrammarConstraint | None:
    """Return a fresh constraint for one answer, None where nothing is constrained (``choice`` "none", or no tools).

    ConfigError names the tool whose schema is wrong, unsupported or too large.
    """
    from smolforge.engine.constraints import of_grammar

    chosen = chosen_tools(tools, choice)
    grammar = tool_lark(chosen, engine.codec.special, choice=choice, parallel=parallel)
    if grammar is None:
        return None
    try:
        return of_grammar(engine.table, engine.model.stop, grammar, "tools")
    except ConfigError:
        for tool in chosen:
            of_grammar(engine.table, engine.model.stop, f"start: {_arguments(tool)}", f"tool '{tool.name}'")
        raise


def tool_lark(tools: Tools, special: Mapping[str, int], *, choice: str = AUTO, parallel: bool = True) -> str | None:
    """Return the Lark grammar of an answer that may use ``tools``; None where it is free.

    ``choice``: "auto" (text, then calls, either may be missing), "required" (calls alone), "none", or a tool's name
    (calls of that one). ``parallel`` allows several calls, up to ``MAX_CALLS``. ``special``: control tokens by text
    (``codec.special``); where the tags are among them, they are written as those tokens, else as text.
    """
    chosen = chosen_tools(tools, choice)
    if not chosen:
        return None
    begin, end = (f"<[{special[tag]}]>" if tag in special else _quoted(tag) for tag in (TOOL_CALL, END_TOOL_CALL))
    most = min(MAX_CALLS, len(chosen)) if all(_bare(tool) for tool in chosen) else MAX_CALLS
    parallel = parallel and most > 1
    calls = f"call more{{0,{most - 1}}}" if parallel else "call"
    rules = [f"start: {f'TEXT | lead {calls}' if choice == AUTO else f'{begin} {calls}'}"]
    if choice == AUTO:
        rules += [f"lead: TEXT {begin}" if TOOL_CALL in special else f"lead[lazy]: TEXT {begin}", r"TEXT: /(.|\n)*/"]
    if parallel:
        rules.append(rf'more: "\n" {begin} call')
    rules.append(rf'call: ({" | ".join(f"call_{i}" for i in range(len(chosen)))}) "}}\n" {end}')
    for i, tool in enumerate(chosen):
        head = f'\n{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": '
        rules.append(f"call_{i}: {_quoted(head)} {_arguments(tool)}")
    grammar = "\n".join(rules)
    if len(grammar.encode()) > MAX_SCHEMA_BYTES:
        raise ConfigError(f"tools: {len(grammar.encode()):,} bytes of schemas, the limit is {MAX_SCHEMA_BYTES:,}")
    return grammar


def chosen_tools(tools: Tools, choice: str) -> tuple[Tool, ...]:
    """Return the tools that ``choice`` leaves; ConfigError where it needs one that is not there."""
    known = tools_of(tools)
    if choice == NONE or (choice == AUTO and not known):
        return ()
    if choice in (AUTO, REQUIRED):
        if not known:
            raise ConfigError("tool choice 'required' needs at least one tool")
        return known
    chosen = tuple(tool for tool in known if tool.name == choice)
    if not chosen:
        words = [AUTO, NONE, REQUIRED, *(tool.name for tool in known)]
        raise ConfigError(f"tool choice '{choice}': no such tool{nearest(choice, words)}")
    return chosen


def parse_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Return what an answer says in words and the distinct calls it holds. What is no well-formed call is left out."""
    answer = parse_answer(text)
    distinct = {(call.name, json.dumps(call.arguments)): call for call in reversed(answer.tool_calls)}
    return answer.content, tuple(reversed(distinct.values()))


def _bare(tool: Tool) -> bool:
    """Whether a tool takes nothing, so that a second call of it can only repeat the first."""
    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    return {"additionalProperties": False, **tool.parameters} == nothing


def _arguments(tool: Tool) -> str:
    """Return the grammar of a tool's arguments; strings without a bound of their own get one far off."""
    try:
        text, _ = checked_schema({**tool.parameters, "type": "object"}, "spaced")
        schema = json.loads(text)
        for _, node in walk(schema):
            if isinstance(node, dict) and node.get("type") == "string" and not _BOUNDED & node.keys():
                node["maxLength"] = max(MAX_STRING, node.get("minLength", 0))
        enforced = {**canonical(schema), "x-guidance": _SPACING}
    except ConfigError as error:
        raise ConfigError(f"tool '{tool.name}': {error}") from None
    return f"%json {json.dumps(enforced, ensure_ascii=False)}"


def _quoted(text: str) -> str:
    """Return text as a string of the grammar, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)
