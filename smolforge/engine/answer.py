"""What comes back: an answer as it is made, piece by piece, and the whole of it.

Input: a scheduler's job. Output: events, text, or an ``Answer`` with its token counts and times.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from smolforge.engine.job import Job, Timings
from smolforge.errors import DataError
from smolforge.generator import Completion, Event, Finish, Finished, ReasoningDelta, TextDelta, TokenLogprob, Usage
from smolforge.tokens.messages import ToolCall, parse_answer


@dataclass(frozen=True)
class Answer:
    """One answer. ``text`` is what a person reads; ``reasoning`` stood in the think block, "" where there was none.
    Calls stand in ``text`` between their tags, and are read from there into ``tool_calls``.

    ``tokens`` are all generated ids but the one that ended the answer; ``logprobs`` is filled where asked for, and
    ``last_logprob`` where a token ended it.
    """

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    tokens: list[int]
    finish: Finish
    usage: Usage
    timings: Timings
    logprobs: tuple[TokenLogprob, ...] = ()
    last_logprob: TokenLogprob | None = None

    def __str__(self) -> str:
        return self.text

    def json(self) -> Any:
        """Return the text as the JSON value it is; DataError where it is not, as when it was cut off."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"the answer (finish: {self.finish}) is not valid JSON: {error}") from None


class AnswerStream:
    """An answer that is being made. Iterate over it, plainly or with ``async for``, for events; once.

    Leaving the iteration early, ``cancel``, or letting go of it stops the work. ``text()`` gives the text alone,
    ``answer()`` the whole.
    """

    def __init__(self, job: Job[Completion]) -> None:
        self._job = job
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._usage: Usage | None = None
        self._last: TokenLogprob | None = None

    def __del__(self) -> None:
        self._job.cancelled = True  # nobody is left to read it; no lock is taken here, and what has ended stays

    def __iter__(self) -> Iterator[Event]:
        for event in self._job:
            self._keep(event)
            yield event

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event in self._job:
            self._keep(event)
            yield event

    def text(self) -> Iterator[str]:
        """Yield the answer's text in whole characters, without the reasoning."""
        for event in self:
            if isinstance(event, TextDelta):
                yield event.text

    def answer(self, timeout: float | None = None) -> Answer:
        """Wait for the end and return the whole answer; TimeoutError after ``timeout`` seconds (it goes on then)."""
        try:
            done = self._job.result(timeout)
        except KeyboardInterrupt:
            self.cancel()
            raise
        if self._usage is None:
            for _ in self:
                pass
        return self._whole(done)

    async def wait(self) -> Answer:
        """Wait for the end in an event loop and return the whole answer."""
        if self._usage is None:
            async for _ in self:
                pass
        return self._whole(self._job.result())

    def cancel(self) -> None:
        """Stop at the next step; ``answer()`` then returns what there is."""
        self._job.cancel()

    def _keep(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._text.append(event.text)
        elif isinstance(event, ReasoningDelta):
            self._reasoning.append(event.text)
        elif isinstance(event, Finished):
            self._usage, self._last = event.usage, event.logprob

    def _whole(self, done: Completion) -> Answer:
        assert self._usage is not None
        text = "".join(self._text)
        return Answer(
            text, "".join(self._reasoning), parse_answer(text).tool_calls, done.tokens, done.finish,
            self._usage, self._job.timings, done.logprobs, self._last,
        )  # fmt: skip
