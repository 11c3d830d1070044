"""Ollama's chats in the fields of chat completions, which are checked and asked as all others are.

Input: checked bodies of ``/api/chat`` and ``/api/generate``. Output: ``ChatFields``, and the engine's requests.
``Problem`` 400 where ``num_ctx`` asks for more room than there is, or two fields contradict each other.
"""

from __future__ import annotations

from typing import Any

from smolforge.engine.asking import CHAT, GREEDY
from smolforge.engine.engine import Engine
from smolforge.generator import Request
from smolforge.serve.asking import chat_requests, contradiction, form_of, samplings
from smolforge.serve.body import validated
from smolforge.serve.fields.chat import ChatFields
from smolforge.serve.fields.ollama import Asked, OllamaChat, OllamaGenerate, OllamaMessage, OllamaOptions
from smolforge.serve.problems import Problem
from smolforge.serve.tool_asking import ToolUse

_SAME = ("temperature", "top_k", "top_p", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty")


def chat_of(engine: Engine, fields: OllamaChat) -> ChatFields:
    """Return the same question as a chat completion."""
    if fields.tools and fields.format:
        raise contradiction("format", "tools")
    tools = [tool.model_dump(exclude_none=True) for tool in fields.tools or ()]
    return _chat(engine, fields, [_message(message) for message in fields.messages], {"tools": tools})


def requests_of(engine: Engine, fields: OllamaGenerate) -> list[Request]:
    """Return the request of a prompt: as the one message of a user, or, ``raw``, as a text to continue."""
    if fields.raw:
        return [_raw(engine, fields)]
    system = [{"role": "system", "content": fields.system}] if fields.system else []
    chat = _chat(engine, fields, [*system, {"role": "user", "content": fields.prompt}], {})
    return chat_requests(engine, chat, ToolUse())


def _raw(engine: Engine, fields: OllamaGenerate) -> Request:
    if fields.system or fields.think:
        raise contradiction("raw", "system" if fields.system else "think")
    chat = _chat(engine, fields, [{"role": "user", "content": fields.prompt}], {})
    form = form_of(chat.response_format)
    return engine.asking.text(
        fields.prompt,
        max_tokens=chat.max_tokens,
        sampling=next(samplings(chat, CHAT if form is None else GREEDY, engine.vocab_size)),
        schema=form,
        stop=chat.stops,
        logprobs=chat.top_logprobs,
    )


def check_room(engine: Engine, options: OllamaOptions) -> None:
    """Refuse a ``num_ctx`` beyond the model's context here."""
    if options.num_ctx is not None and options.num_ctx > engine.context:
        message = f"options.num_ctx is {options.num_ctx}, there are {engine.context} positions; start with --context"
        raise Problem(400, message, param="options.num_ctx", code="invalid_value")


def sampling_of(options: OllamaOptions) -> dict[str, Any]:
    """Return options under the names of completions."""
    named = {name: getattr(options, name) for name in _SAME}
    limit = options.num_predict
    more = {"repetition_penalty": options.repeat_penalty, "max_tokens": None if limit is None or limit < 0 else limit}
    return {name: value for name, value in {**named, **more}.items() if value is not None}


def _chat(engine: Engine, fields: Asked, messages: list[dict[str, Any]], more: dict[str, Any]) -> ChatFields:
    check_room(engine, fields.options)
    asked = {"model": fields.model, "messages": messages, **sampling_of(fields.options), **_thinking(fields), **more}
    if fields.format:
        asked["response_format"] = (
            {"type": "json_object"} if fields.format == "json" else {"type": "json_schema", "schema": fields.format}
        )
    if fields.logprobs:
        asked |= {"logprobs": True, "top_logprobs": fields.top_logprobs or 0}
    return validated(asked, ChatFields)


def _thinking(fields: Asked) -> dict[str, Any]:
    if isinstance(fields.think, str):
        return {"reasoning_effort": fields.think}
    return {"chat_template_kwargs": {"enable_thinking": bool(fields.think)}}


def _message(message: OllamaMessage) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": message.content or ""}
    given = {"reasoning_content": message.thinking, "name": message.tool_name, "tool_call_id": message.tool_call_id}
    row |= {name: value for name, value in given.items() if value}
    if message.tool_calls:
        row["tool_calls"] = [
            {"function": {"name": call.function.name, "arguments": call.function.arguments}}
            for call in message.tool_calls
        ]
    return row
