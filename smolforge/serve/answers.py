"""Requests of one HTTP request in the engine's hands, and their answers, whole or event by event.

Input: the engine's requests. Output: ``Answer`` objects, or events with the index of the request they belong to. An
answer of which there was no token when time was up is an error; what did come is given as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TypeVar

from smolforge.engine.answer import Answer, AnswerStream
from smolforge.engine.engine import Engine
from smolforge.engine.job import Job
from smolforge.engine.scheduler import Closed
from smolforge.engine.thinking import Place, ThinkBlock
from smolforge.engine.work import Stopped
from smolforge.generator import Event, Finish, Finished, Request, TokenLogprob
from smolforge.serve.serving import Serving

Result = TypeVar("Result")


class Asked:
    """Submits ``requests`` when it is made; ``Overloaded`` where there is no room for all of them."""

    def __init__(self, serving: Serving, engine: Engine, requests: Sequence[Request]) -> None:
        self._serving = serving
        self.requests = requests
        self._streams = [engine.submit(request) for request in requests]
        self._blocks = [ThinkBlock(request.thinking, once=request.constraint is not None) for request in requests]

    async def answers(self) -> list[Answer]:
        """Wait for all of them."""
        answers = await asyncio.gather(*(stream.wait() for stream in self._streams))
        for answer in answers:
            _check(answer.finish, len(answer.tokens))
            self._serving.metrics.answer(answer.usage, answer.timings)
        return answers

    async def events(self) -> AsyncIterator[tuple[int, Event]]:
        """Yield (index, event) as they come."""
        begun: set[int] = set()
        async for index, event in _merged(self._streams):
            if isinstance(event, Finished) and index not in begun:
                _check(event.finish, event.usage.completion_tokens)
            begun.add(index)
            yield index, event

    def spoken(self, index: int, tokens: Iterable[TokenLogprob]) -> list[TokenLogprob]:
        """Return those of the next tokens that belong to the answer's text, not to its reasoning."""
        block = self._blocks[index]
        return [found for found in tokens if block.take(found.token) is Place.ANSWER]


async def finished(job: Job[Result]) -> Result:
    """Wait for work that has no events, and return its result."""
    async for _ in job:
        pass
    return job.result()


def _check(finish: Finish, tokens: int) -> None:
    if not tokens and finish == "timeout":
        raise Stopped("timeout")
    if not tokens and finish == "cancelled":  # by us: a client that left is not told anything
        raise Closed


async def _merged(streams: Sequence[AnswerStream]) -> AsyncIterator[tuple[int, Event]]:
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
