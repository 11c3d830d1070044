"""One answer for ``llm``: its prompt as the engine takes it, and the engine's events as ``llm`` streams and logs them.

Input: a prompt with options, a schema or tools, and the turns before it. Output: stream events; calls and token counts
go into ``llm``'s response.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import llm
from llm.parts import StreamEvent, TextPart, ToolCallPart, ToolResultPart

from smolforge.engine.answer import AnswerStream
from smolforge.engine.asking import CHAT, GREEDY
from smolforge.engine.engine import Engine
from smolforge.errors import ConfigError
from smolforge.generator import Finished, ReasoningDelta, Sampling, TextDelta
from smolforge.serve.calls import Called, CallReader, Part, Said, whole_calls
from smolforge.serve.shapes import new_id
from smolforge.tasks.tool_grammar import tool_constraint
from smolforge.tasks.tool_prompt import tool_messages
from smolforge.tasks.tools import Tool, tools_of

if TYPE_CHECKING:
    from smolforge.serve.llm_plugin import EdgeOptions

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")


def answer(engine: Engine, prompt: llm.Prompt, response: llm.Response) -> Iterator[StreamEvent]:
    """Answer a prompt; ``llm`` runs the calls that ``response`` is given. SmolforgeError says what is wrong."""
    tools = _tools(prompt)
    answering = _ask(engine, prompt, tools)
    yield from _with_calls(answering, response) if tools else _without(answering)
    done = answering.answer()
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


def _without(answering: AnswerStream) -> Iterator[StreamEvent]:
    for event in answering:
        if isinstance(event, TextDelta | ReasoningDelta):
            yield StreamEvent("text" if isinstance(event, TextDelta) else "reasoning", event.text)


def _with_calls(answering: AnswerStream, response: llm.Response) -> Iterator[StreamEvent]:
    """Yield events as they come; calls are told apart from words, and handed over when they are complete."""
    reader, calls = CallReader(), list[llm.ToolCall]()
    for event in answering:
        if isinstance(event, ReasoningDelta):
            yield StreamEvent("reasoning", event.text)
        parts = reader.push(event.text) if isinstance(event, TextDelta) else ()
        for part in parts if not isinstance(event, Finished) else reader.finish():
            if isinstance(part, Called):
                calls.append(llm.ToolCall(part.name, {}, new_id("call_")))
            yield _event(part, calls)
    whole = whole_calls(answering.answer().text)
    for made, (_, arguments) in zip(calls, whole, strict=False):  # the last one may have been cut off
        response.add_tool_call(replace(made, arguments=arguments))


def _event(part: Part, calls: list[llm.ToolCall]) -> StreamEvent:
    if isinstance(part, Said):
        return StreamEvent("text", part.text)
    kind, text = ("tool_call_name", part.name) if isinstance(part, Called) else ("tool_call_args", part.text)
    return StreamEvent(kind, text, tool_call_id=calls[part.index].tool_call_id)
