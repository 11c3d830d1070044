"""Answers of the engine as chat completions: one JSON value, or chunks as they come.

Input: requests in the engine's hands, one a choice. Output: what ``POST /v1/chat/completions`` sends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from smolforge.engine.answer import Answer
from smolforge.engine.engine import Engine
from smolforge.generator import Event, Finished, LogprobsDelta, ReasoningDelta, TextDelta
from smolforge.serve.answers import Asked
from smolforge.serve.calls import Called, CallReader, Part, Said, read_whole
from smolforge.serve.shapes import chat_logprobs, ending, new_id, timings_of, usage_of

Json = dict[str, Any]


class ChatAnswer:
    """One response. ``calls``: the answers may hold calls."""

    def __init__(self, engine: Engine, model: str, asked: Asked, calls: bool) -> None:
        self._asked, self._table, self._calls = asked, engine.table, calls
        self._head = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": engine.model.digest[:12],
        }

    async def whole(self) -> Json:
        """Wait for all choices."""
        answers = await self._asked.answers()
        choices = [self._choice(i, answer) for i, answer in enumerate(answers)]
        return {**self._head, "choices": choices, **_counts(answers)}

    async def chunks(self, include_usage: bool) -> AsyncIterator[Json]:
        """Yield chunks; the last one has no choices, but timings, and the token counts where they were asked for."""
        readers = [CallReader() if self._calls else None for _ in self._asked.requests]
        begun: set[int] = set()
        async for i, event in self._asked.events():
            if i not in begun:
                begun.add(i)
                yield self._chunk(i, {"role": "assistant", "content": ""})
            for delta in self._deltas(i, event, readers[i]):
                yield self._chunk(i, **delta)
            if isinstance(event, Finished):
                reader = readers[i]
                yield self._chunk(i, {}, **ending(event.finish, reader is not None and reader.calls > 0))
        counts = _counts(await self._asked.answers())
        if not include_usage:
            del counts["usage"]
        yield {**self._head, "object": "chat.completion.chunk", "choices": [], **counts}

    def _choice(self, index: int, answer: Answer) -> Json:
        words, calls = read_whole(answer.text) if self._calls else (answer.text, [])
        message: Json = {"role": "assistant", "content": words or (None if calls else ""), "refusal": None}
        if answer.reasoning:
            message |= _reasoning(answer.reasoning)
        if calls:
            message["tool_calls"] = [
                {"id": new_id("call_"), "type": "function", "function": {"name": name, "arguments": arguments}}
                for name, arguments in calls
            ]
        logprobs = None
        if self._asked.requests[index].logprobs is not None:
            logprobs = {"content": chat_logprobs(self._table, self._asked.spoken(index, answer.logprobs))}
        return {"index": index, "message": message, "logprobs": logprobs, **ending(answer.finish, bool(calls))}

    def _deltas(self, index: int, event: Event, reader: CallReader | None) -> Iterator[Json]:
        if isinstance(event, ReasoningDelta):
            yield {"delta": _reasoning(event.text)}
        elif isinstance(event, LogprobsDelta):
            content = chat_logprobs(self._table, self._asked.spoken(index, event.tokens))
            yield {"delta": {}, "logprobs": {"content": content}}
        elif isinstance(event, TextDelta) and reader is None:
            yield {"delta": {"content": event.text}}
        elif reader is not None:
            parts = reader.push(event.text) if isinstance(event, TextDelta) else reader.finish()
            yield from ({"delta": _delta(part)} for part in parts)

    def _chunk(self, index: int, delta: Json, **more: Any) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _reasoning(text: str) -> Json:
    """Return reasoning under both names clients look for."""
    return {"reasoning_content": text, "reasoning": text}


def _delta(part: Part) -> Json:
    if isinstance(part, Said):
        return {"content": part.text}
    if isinstance(part, Called):
        call = {"id": new_id("call_"), "type": "function", "function": {"name": part.name, "arguments": ""}}
        return {"tool_calls": [{"index": part.index, **call}]}
    return {"tool_calls": [{"index": part.index, "function": {"arguments": part.text}}]}


def _counts(answers: list[Answer]) -> Json:
    return {"usage": usage_of([answer.usage for answer in answers], len(answers)), "timings": timings_of(answers[0])}
