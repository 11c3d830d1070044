"""Answers of the engine as Ollama's clients read them: lines that end with one that counts and times.

Input: one request in the engine's hands. Output: JSON values for ``/api/chat`` and ``/api/generate``. Durations are in
nanoseconds; ``load_duration`` is how long the request waited, since the model is loaded once, before all requests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from smolforge.engine.answer import Answer
from smolforge.engine.engine import Engine
from smolforge.generator import Event, Finished, LogprobsDelta, ReasoningDelta, TextDelta
from smolforge.serve.answers import Asked
from smolforge.serve.calls import CallReader, Said, read_whole, whole_calls
from smolforge.serve.shapes import chat_logprobs

Json = dict[str, Any]
NANOSECONDS = 1_000_000_000


class Shape(Protocol):
    """How a route writes the parts of an answer."""

    def __call__(self, text: str, thinking: str = "", calls: list[Json] | None = None) -> Json:
        """Return them as the fields of a line."""


def as_message(text: str, thinking: str = "", calls: list[Json] | None = None) -> Json:
    """``/api/chat``."""
    more = {"thinking": thinking, "tool_calls": calls}
    given = {name: value for name, value in more.items() if value}
    return {"message": {"role": "assistant", "content": text, **given}}


def as_response(text: str, thinking: str = "", calls: list[Json] | None = None) -> Json:
    """``/api/generate``, which knows no calls."""
    return {"response": text, **({"thinking": thinking} if thinking else {})}


class OllamaAnswer:
    """One answer. ``calls``: it may hold calls, which are shown when they are complete."""

    def __init__(self, engine: Engine, model: str, asked: Asked, shape: Shape, calls: bool) -> None:
        self._table, self._model, self._asked, self._shape, self._calls = engine.table, model, asked, shape, calls

    async def whole(self) -> Json:
        """Wait for the end."""
        (answer,) = await self._asked.answers()
        words, calls = (answer.text, list[Json]()) if not self._calls else _read(answer)
        logprobs = self._logprobs(answer) if self._asked.requests[0].logprobs is not None else {}
        return {**self._head(), **self._shape(words, answer.reasoning, calls), **logprobs, **ending(answer)}

    async def lines(self) -> AsyncIterator[Json]:
        """Yield lines; the last one has no text, but the calls, counts and times."""
        reader = CallReader() if self._calls else None
        async for _, event in self._asked.events():
            for parts in self._parts(event, reader):
                yield {**self._head(), **parts, "done": False}
        (answer,) = await self._asked.answers()
        if reader is not None and (calls := _read(answer)[1]):
            yield {**self._head(), **self._shape("", calls=calls), "done": False}
        yield {**self._head(), **self._shape(""), **ending(answer)}

    def _parts(self, event: Event, reader: CallReader | None) -> Iterator[Json]:
        if isinstance(event, ReasoningDelta):
            yield self._shape("", event.text)
        elif isinstance(event, LogprobsDelta):
            spoken = self._asked.spoken(0, event.tokens)
            yield {**self._shape(""), "logprobs": chat_logprobs(self._table, spoken)}
        elif isinstance(event, TextDelta) and reader is None:
            yield self._shape(event.text)
        elif reader is not None and isinstance(event, TextDelta | Finished):
            parts = reader.push(event.text) if isinstance(event, TextDelta) else reader.finish()
            yield from (self._shape(part.text) for part in parts if isinstance(part, Said))

    def _logprobs(self, answer: Answer) -> Json:
        return {"logprobs": chat_logprobs(self._table, self._asked.spoken(0, answer.logprobs))}

    def _head(self) -> Json:
        return {"model": self._model, "created_at": now()}


def now() -> str:
    """Return the time as Ollama writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def ending(answer: Answer) -> Json:
    """Return why it ended, token counts, and durations."""
    took, usage = answer.timings, answer.usage
    return {
        "done": True,
        "done_reason": "stop" if answer.finish == "stop" else "length",
        "total_duration": _nanoseconds(took.waited + took.prompt + took.generation),
        "load_duration": _nanoseconds(took.waited),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": _nanoseconds(took.prompt),
        "eval_count": usage.completion_tokens,
        "eval_duration": _nanoseconds(took.generation),
    }


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def _read(answer: Answer) -> tuple[str, list[Json]]:
    """Return the words and the calls, which are whole: one that was cut off is none."""
    words, _ = read_whole(answer.text)
    calls = [{"function": {"name": name, "arguments": arguments}} for name, arguments in whole_calls(answer.text)]
    return words, calls
