"""One answer for ``llm``: its prompt as the engine takes it, and the engine's events as ``llm`` streams and logs them.

Input: a prompt with options, a schema or tools, and the turns before it. Output: stream events; calls and token counts
go into ``llm``'s response.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import llm
from llm.parts import StreamEvent, TextPart, ToolCallPart, ToolResultPart

from smolforge.engine.answer import Answer, AnswerStream
from smolforge.engine.asking import CHAT, GREEDY
from smolforge.engine.engine import Engine
from smolforge.errors import ConfigError
from smolforge.generator import ReasoningDelta, Sampling, TextDelta
from smolforge.tasks.tool_grammar import tool_constraint
from smolforge.tasks.tool_prompt import tool_messages
from smolforge.tasks.tool_text import WordsBeforeCalls
from smolforge.tasks.tools import Tool, tools_of

if TYPE_CHECKING:
    from smolforge.serve.llm_plugin import EdgeOptions

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")


def answer(engine: Engine, prompt: llm.Prompt, response: llm.Response) -> Iterator[StreamEvent]:
    """Answer a prompt; ``llm`` runs the calls that ``response`` is given. SmolforgeError says what is wrong."""
    tools = _tools(prompt)
    answering = _ask(engine, prompt, tools)
    for event in _events(answering, bool(tools)):
        yield StreamEvent("reasoning" if isinstance(event, ReasoningDelta) else "text", event.text)
    done = answering.answer()
    if tools:
        yield from _called(done, response)
    details = {"cached_tokens": done.usage.cached_tokens, "reasoning_tokens": done.usage.reasoning_tokens}
    counts = {name: count for name, count in details.items() if count}
    response.set_usage(input=done.usage.prompt_tokens, output=done.usage.completion_tokens, details=counts)
    response.set_resolved_model(engine.model.name)


def _ask(engine: Engine, prompt: llm.Prompt, tools: tuple[Tool, ...]) -> AnswerStream:
    if tools and prompt.schema:
        raise ConfigError("a schema and tools are two forms for one answer; give one of them")
    options = cast("EdgeOptions", prompt.options)
    messages, shown = tool_messages(engine.codec, _messages(prompt), tools)
    return engine.stream(
        messages,
        max_tokens=options.max_tokens,
        sampling=_sampling(options, formed=bool(prompt.schema)),
        schema=cast("dict[str, Any] | None", prompt.schema),
        constraint=tool_constraint(engine, tools) if tools else None,
        think=options.think,
        thinking_budget=options.thinking_budget,
        tools=shown,
        stop=[options.stop] if options.stop else [],
    )


def _sampling(options: EdgeOptions, formed: bool) -> Sampling:
    """Return the engine's choice for a chat, or under a schema, with what was set over it."""
    given = {name: getattr(options, name) for name in _SAMPLING if getattr(options, name) is not None}
    return replace(GREEDY if formed else CHAT, **{"seed": secrets.randbits(63), **given})


def _tools(prompt: llm.Prompt) -> tuple[Tool, ...]:
    for tool in prompt.tools:
        if not isinstance(tool, llm.Tool):
            raise ConfigError(f"{type(tool).__name__}: a tool that a provider runs; there is none here")
    definitions = [
        {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
        for tool in cast("list[llm.Tool]", prompt.tools)
    ]
    return tools_of(definitions)


def _messages(prompt: llm.Prompt) -> list[dict[str, Any]]:
    """Return the conversation as the engine takes it; of several system prompts the last one counts."""
    system, rows = "", list[dict[str, Any]]()
    for message in prompt.messages:
        text = "".join(part.text for part in message.parts if isinstance(part, TextPart))
        calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
        if message.role == "system":
            system = text
        elif message.role == "tool":
            results = [part for part in message.parts if isinstance(part, ToolResultPart)]
            rows += [{"role": "tool", "name": result.name, "content": result.output} for result in results]
        elif text or calls:
            made = [{"function": {"name": call.name, "arguments": call.arguments}} for call in calls]
            rows.append({"role": message.role, "content": text, **({"tool_calls": made} if made else {})})
    return [{"role": "system", "content": system}, *rows] if system else rows


def _events(answering: AnswerStream, calls: bool) -> Iterator[TextDelta | ReasoningDelta]:
    """Yield what to show while it comes, without the calls."""
    words = WordsBeforeCalls()
    for event in answering:
        if isinstance(event, ReasoningDelta) or (isinstance(event, TextDelta) and not calls):
            yield event
        elif isinstance(event, TextDelta) and (text := words.push(event.text)):
            yield TextDelta(text)
    if rest := words.finish():
        yield TextDelta(rest)


def _called(answer: Answer, response: llm.Response) -> Iterator[StreamEvent]:
    """Hand the calls over, and show them in the stream."""
    for call in answer.tool_calls:
        made = llm.ToolCall(call.name, call.arguments, f"call_{secrets.token_hex(12)}")
        response.add_tool_call(made)
        yield StreamEvent("tool_call_name", call.name, tool_call_id=made.tool_call_id)
        yield StreamEvent("tool_call_args", json.dumps(call.arguments), tool_call_id=made.tool_call_id)
