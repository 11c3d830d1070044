"""From checked fields to what the engine is asked: messages, sampling, the form of the answer, how much to reason.

Input: request fields. Output: the engine's messages and ``Options``. ``Problem`` 400 names the field where two of them
contradict each other or the model cannot do what is asked.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smolforge.engine.asking import CHAT, GREEDY
from smolforge.engine.engine import Engine
from smolforge.engine.schema_checks import canonical
from smolforge.generator import Request, Sampling
from smolforge.serve.fields.chat import ChatFields, ChatMessage, Effort, MadeCall, ResponseFormat, TextPart
from smolforge.serve.fields.sampling import SamplingFields
from smolforge.serve.problems import Problem
from smolforge.serve.tool_asking import ToolUse

EFFORTS: dict[Effort, int | None] = {"minimal": 64, "low": 256, "medium": 1024, "high": None, "xhigh": None}
_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
    "dry_multiplier", "dry_base", "dry_allowed_length",
)  # fmt: skip


@dataclass(frozen=True)
class Reasoning:
    """Whether to reason first, and at most how many tokens (None: as many as the answer may have)."""

    think: bool = False
    budget: int | None = None


def samplings(fields: SamplingFields, default: Sampling, vocab_size: int) -> Iterator[Sampling]:
    """Yield one sampling for each of ``n`` answers: the fields over ``default``, and seeds one behind the other."""
    given = {name: value for name in _SAMPLING if (value := getattr(fields, name)) is not None}
    bias = {_token(text, vocab_size): value for text, value in (fields.logit_bias or {}).items()}
    seed = secrets.randbits(63) if fields.seed is None else fields.seed
    for choice in range(fields.n or 1):
        yield replace(default, **given, logit_bias=bias, seed=(seed + choice) % (1 << 64))


def _token(text: str, vocab_size: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < vocab_size:
        return int(text)
    message = f"logit_bias: {text[:40]!r} is not a token id, expected 0 to {vocab_size - 1}"
    raise Problem(400, message, param="logit_bias", code="invalid_value")


def chat_requests(engine: Engine, fields: ChatFields, use: ToolUse) -> list[Request]:
    """Return the engine's requests for ``n`` answers; ConfigError and DataError where the engine refuses."""
    if fields.max_tokens is not None and fields.max_completion_tokens not in (None, fields.max_tokens):
        raise contradiction("max_tokens", "max_completion_tokens")
    if fields.top_logprobs is not None and not fields.logprobs:
        raise Problem(400, "top_logprobs needs logprobs: true", param="top_logprobs", code="invalid_value")
    form, reasoning = form_of(fields.response_format), reasoning_of(fields)
    if form is not None and use.calls:
        raise contradiction("response_format", "tools")
    messages, shown = use.messages(engine, messages_of(fields.messages))
    default = GREEDY if form is not None or use.calls else CHAT
    return [
        engine.asking.chat(
            messages,
            max_tokens=fields.max_tokens if fields.max_completion_tokens is None else fields.max_completion_tokens,
            sampling=sampling,
            schema=form,
            constraint=use.constraint(engine),
            tools=shown,
            think=reasoning.think,
            thinking_budget=reasoning.budget,
            stop=fields.stops,
            logprobs=(fields.top_logprobs or 0) if fields.logprobs else None,
        )
        for sampling in samplings(fields, default, engine.vocab_size)
    ]


def form_of(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    """Return the JSON schema the answer must keep to; None where it is free."""
    if wanted is None or wanted.type == "text":
        return None
    inner = wanted.json_schema.schema_ if wanted.json_schema is not None else None
    if inner is not None and wanted.schema_ is not None:
        raise contradiction("response_format.schema", "response_format.json_schema.schema")
    schema = inner if inner is not None else wanted.schema_
    if schema is None and wanted.type == "json_schema":
        message = "response_format of type json_schema needs json_schema.schema"
        raise Problem(400, message, param="response_format", code="invalid_value")
    return {"type": "object"} if schema is None else canonical(schema)


def reasoning_of(fields: ChatFields) -> Reasoning:
    """Return what the reasoning fields say together; off where they say nothing."""
    kwargs = fields.chat_template_kwargs
    switch = kwargs.enable_thinking if kwargs is not None else None
    effort = fields.reasoning_effort
    budget = fields.thinking_token_budget
    if fields.reasoning_budget is not None:
        if budget is not None:
            raise contradiction("reasoning_budget", "thinking_token_budget")
        budget = fields.reasoning_budget
    if effort is not None and switch is not None and switch == (effort == "none"):
        raise contradiction("reasoning_effort", "chat_template_kwargs.enable_thinking")
    wanted = switch if switch is not None else (effort != "none" if effort is not None else bool(budget))
    if not wanted or budget == 0:
        return Reasoning()
    if budget is None and effort is not None:
        return Reasoning(True, EFFORTS[effort])
    return Reasoning(True, None if budget is None or budget < 0 else budget)


def messages_of(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Return messages as the chat template takes them."""
    return [_message(message, f"messages[{i}]") for i, message in enumerate(messages)]


def _message(message: ChatMessage, where: str) -> dict[str, Any]:
    row: dict[str, Any] = {"role": "system" if message.role == "developer" else message.role}
    if message.content is not None or not message.tool_calls:
        row["content"] = _text(message.content)
    reasoning = message.reasoning_content if message.reasoning_content is not None else message.reasoning
    given = {"name": message.name, "tool_call_id": message.tool_call_id, "reasoning_content": reasoning}
    row.update({name: value for name, value in given.items() if value is not None})
    if message.tool_calls:
        row["tool_calls"] = [_call(call) for call in message.tool_calls]
    allowed = {"user": {"name"}, "tool": {"name", "tool_call_id"}, "assistant": {"reasoning_content", "tool_calls"}}
    for name in set(row) - {"role", "content"} - allowed.get(row["role"], set()):
        text = f"{where}: {name} does not belong to a message of role {message.role}"
        raise Problem(400, text, param=f"{where}.{name}", code="invalid_value")
    return row


def _text(content: str | list[TextPart] | None) -> str:
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _call(call: MadeCall) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"type": "function", "function": function, **({} if call.id is None else {"id": call.id})}


def contradiction(one: str, other: str) -> Problem:
    """Return the refusal of two fields that cannot both hold."""
    return Problem(400, f"{one} and {other} contradict each other; give one of them", param=one, code="invalid_value")
