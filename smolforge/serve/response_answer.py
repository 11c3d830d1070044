"""Answers of the engine as responses: one JSON value, or named events as they come.

Input: one request in the engine's hands, and the fields it came from. Output: what ``POST /v1/responses`` sends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from smolforge.engine.answer import Answer
from smolforge.engine.engine import Engine
from smolforge.generator import Event, LogprobsDelta, ReasoningDelta, TextDelta
from smolforge.serve.answers import Asked
from smolforge.serve.calls import CallReader
from smolforge.serve.fields.responses import ResponseFields
from smolforge.serve.response_items import Events, Items
from smolforge.serve.shapes import chat_logprobs, new_id, timings_of

Json = dict[str, Any]


class ResponseAnswer:
    """One response. ``calls``: the answer may hold calls."""

    def __init__(self, engine: Engine, model: str, fields: ResponseFields, asked: Asked, calls: bool) -> None:
        self._asked, self._table = asked, engine.table
        self._items = Items()
        self._reader = CallReader() if calls else None
        self._number = 0
        sampling = asked.requests[0].sampling
        self._response: Json = {
            "id": new_id("resp_"),
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": fields.instructions,
            "max_output_tokens": fields.max_output_tokens,
            "model": model,
            "output": [],
            "parallel_tool_calls": fields.parallel_tool_calls is not False,
            "previous_response_id": None,
            "store": False,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "text": _dumped(fields.text) or {"format": {"type": "text"}},
            "reasoning": _dumped(fields.reasoning),
            "tool_choice": _dumped(fields.tool_choice) or "auto",
            "tools": [{"strict": None, **tool.model_dump()} for tool in fields.tools or ()],
            "metadata": fields.metadata or {},
            "truncation": "disabled",
            "usage": None,
        }

    async def whole(self) -> Json:
        """Wait for the answer."""
        (answer,) = await self._asked.answers()
        events: list[Event] = [ReasoningDelta(answer.reasoning)] if answer.reasoning else []
        for event in (*events, TextDelta(answer.text), LogprobsDelta(answer.logprobs)):
            for _ in self._taken(event):
                pass
        for _ in self._ended(answer):
            pass
        return self._response

    async def events(self) -> AsyncIterator[tuple[str, Json]]:
        """Yield (name, event); the last one holds the whole response."""
        begun = False
        async for _, event in self._asked.events():
            if not begun:
                begun = True
                for name in ("response.created", "response.in_progress"):
                    yield self._named(name, {"response": self._response})
            for name, told in self._taken(event):
                yield self._named(name, told)
        (answer,) = await self._asked.answers()
        for name, told in self._ended(answer):
            yield self._named(name, told)
        yield self._named(f"response.{self._response['status']}", {"response": self._response})

    def _taken(self, event: Event) -> Events:
        if isinstance(event, ReasoningDelta):
            yield from self._items.reason(event.text)
        elif isinstance(event, TextDelta) and self._reader is not None:
            for part in self._reader.push(event.text):
                yield from self._items.part(part)
        elif isinstance(event, TextDelta) and event.text:
            yield from self._items.say(event.text, [])
        elif isinstance(event, LogprobsDelta) and (spoken := self._asked.spoken(0, event.tokens)):
            yield from self._items.say("", chat_logprobs(self._table, spoken))

    def _ended(self, answer: Answer) -> Events:
        for part in self._reader.finish() if self._reader is not None else ():
            yield from self._items.part(part)
        status = "completed" if answer.finish == "stop" else "incomplete"
        yield from self._items.end(status)
        usage = answer.usage
        self._response |= {
            "status": status,
            "output": self._items.done,
            "timings": timings_of(answer),
            "usage": {
                "input_tokens": usage.prompt_tokens,
                "input_tokens_details": {"cached_tokens": usage.cached_tokens},
                "output_tokens": usage.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            },
        }
        if status == "incomplete":
            reason = "max_output_tokens" if answer.finish == "length" else "timeout"
            self._response["incomplete_details"] = {"reason": reason}

    def _named(self, name: str, told: Json) -> tuple[str, Json]:
        self._number += 1
        return name, {"type": name, "sequence_number": self._number - 1, **told}


def _dumped(value: Any) -> Any:
    return value.model_dump(by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value
