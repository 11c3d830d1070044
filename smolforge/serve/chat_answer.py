"""Answers of the engine as chat completions: one JSON value, or chunks as they come.

Input: answer streams, one a choice. Output: what ``POST /v1/chat/completions`` sends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from smolforge.engine.answer import Answer, AnswerStream
from smolforge.engine.engine import Engine
from smolforge.generator import Event, Finished, LogprobsDelta, ReasoningDelta, TextDelta
from smolforge.serve.shapes import chat_logprobs, finish_reason, new_id, timings_of, usage_of


class ChatAnswer:
    """One response: its id, and the choices in it."""

    def __init__(self, engine: Engine, model: str, streams: Sequence[AnswerStream], logprobs: bool) -> None:
        self._engine, self._streams, self._logprobs = engine, streams, logprobs
        self._head = {
            "id": new_id("chatcmpl-"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": engine.model.digest[:12],
        }

    async def whole(self) -> dict[str, Any]:
        """Wait for all choices."""
        answers = await asyncio.gather(*(stream.wait() for stream in self._streams))
        choices = [self._choice(i, answer) for i, answer in enumerate(answers)]
        return {**self._head, "choices": choices, **_counts(answers)}

    async def chunks(self, include_usage: bool) -> AsyncIterator[dict[str, Any]]:
        """Yield chunks; the counts come last, in a chunk without choices where they were asked for."""
        for i in range(len(self._streams)):
            yield self._chunk(i, {"role": "assistant", "content": ""})
        async for i, event in merged(self._streams):
            for delta in self._deltas(event):
                yield self._chunk(i, **delta)
            if isinstance(event, Finished):
                yield self._chunk(i, {}, finish_reason=finish_reason(event.finish))
        counts = _counts([stream.answer() for stream in self._streams])
        if not include_usage:
            counts.pop("usage")
        yield {**self._head, "object": "chat.completion.chunk", "choices": [], **counts}

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        if answer.reasoning:
            message |= {"reasoning_content": answer.reasoning, "reasoning": answer.reasoning}
        logprobs = {"content": chat_logprobs(self._engine.table, answer.logprobs)} if self._logprobs else None
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": finish_reason(answer.finish),
        }

    def _deltas(self, event: Event) -> list[dict[str, Any]]:
        if isinstance(event, TextDelta):
            return [{"delta": {"content": event.text}}]
        if isinstance(event, ReasoningDelta):
            return [{"delta": {"reasoning_content": event.text, "reasoning": event.text}}]
        if isinstance(event, LogprobsDelta):
            return [{"delta": {}, "logprobs": {"content": chat_logprobs(self._engine.table, event.tokens)}}]
        return []

    def _chunk(self, index: int, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _counts(answers: Sequence[Answer]) -> dict[str, Any]:
    return {"usage": usage_of([answer.usage for answer in answers]), "timings": timings_of(answers[0])}


async def merged(streams: Sequence[AnswerStream]) -> AsyncIterator[tuple[int, Event]]:
    """Yield the events of many streams as they come, each with its stream's index."""
    if len(streams) == 1:
        async for event in streams[0]:
            yield 0, event
        return
    queue: asyncio.Queue[tuple[int, Event] | Exception | None] = asyncio.Queue()

    async def pump(index: int, stream: AnswerStream) -> None:
        try:
            async for event in stream:
                queue.put_nowait((index, event))
        except Exception as error:
            queue.put_nowait(error)
        queue.put_nowait(None)

    tasks = [asyncio.create_task(pump(i, stream)) for i, stream in enumerate(streams)]
    try:
        left = len(tasks)
        while left:
            found = await queue.get()
            if isinstance(found, Exception):
                raise found
            if found is None:
                left -= 1
            else:
                yield found
    finally:
        for task in tasks:
            task.cancel()
