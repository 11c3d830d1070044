"""Answers on their way to a client: whole or streamed; a client that goes away or does not read ends its own request.

Input: a function that asks the engine. Output: an HTTP response. Each request holds a lease of the engine, which ends
with the response, however that ends; so what a lost client wanted stops before the model's next step.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from smolforge.engine.engine import Engine
from smolforge.engine.lease import Lease
from smolforge.engine.work import Stopped
from smolforge.errors import SmolforgeError
from smolforge.serve.connection import cut
from smolforge.serve.problems import Problem, problem_of
from smolforge.serve.serving import Serving

EVENTS, LINES = "text/event-stream", "application/x-ndjson"


class _Reply(Response):
    """Sends what ``_answer`` makes while the client is there."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or stop when the client leaves."""
        with self._serving.lend() as (engine, lease):
            answering = asyncio.create_task(self._answer(engine, lease, scope, _impatient(send, self._serving, scope)))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                lease.end()
                leaving.cancel()
                answering.cancel()
                await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled() and (error := answering.exception()) is not None:
            raise error

    async def _answer(self, engine: Engine, lease: Lease, scope: Scope, send: Send) -> None:
        raise NotImplementedError


class Whole(_Reply):
    """One JSON value, made by ``work``; what it raises becomes an error response."""

    def __init__(self, serving: Serving, work: Callable[[Engine], Awaitable[Any]]) -> None:
        super().__init__(serving)
        self._work = work

    async def _answer(self, engine: Engine, lease: Lease, scope: Scope, send: Send) -> None:
        try:
            value = await self._work(engine)
            response = Response(to_json(value), media_type="application/json")
        except Exception as error:
            response = _problem(error, lease).response(scope["path"])
        await response(scope, _nothing, send)


class Streamed(_Reply):
    """Pieces of ``work`` as they come.

    The response begins with the first piece, so that what is refused before has its own status. ``failed`` writes an
    error that comes later.
    """

    def __init__(
        self, serving: Serving, work: Callable[[Engine], AsyncIterator[bytes]], media_type: str,
        failed: Callable[[Problem], bytes],
    ) -> None:  # fmt: skip
        super().__init__(serving)
        self._work, self._type, self._failed = work, media_type, failed

    async def _answer(self, engine: Engine, lease: Lease, scope: Scope, send: Send) -> None:
        pieces = self._work(engine)
        try:
            first = await anext(pieces)
        except Exception as error:
            await _problem(error, lease).response(scope["path"])(scope, _nothing, send)
            return
        headers = [
            (b"content-type", self._type.encode()),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        try:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except SlowReader:
            raise
        except Exception as error:
            body = self._failed(_problem(error, lease))
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Chunked(Protocol):
    """An answer in one of OpenAI's shapes that can be told whole or in chunks."""

    async def whole(self) -> Any:
        """Wait for the end and return all of it."""

    def chunks(self, include_usage: bool) -> AsyncIterator[Any]:
        """Yield the pieces as they come."""


def whole_or_chunks(
    serving: Serving, begin: Callable[[Engine], Awaitable[Chunked]], *, stream: bool, include_usage: bool
) -> Response:
    """Return the response that tells what ``begin`` begins: one JSON value, or events with ``[DONE]`` at the end."""

    async def whole(engine: Engine) -> Any:
        return await (await begin(engine)).whole()

    async def pieces(engine: Engine) -> AsyncIterator[bytes]:
        answer = await begin(engine)
        async for chunk in answer.chunks(include_usage):
            yield event(chunk)
        yield b"data: [DONE]\n\n"

    return Streamed(serving, pieces, EVENTS, stream_error) if stream else Whole(serving, whole)


def to_json(value: Any) -> bytes:
    """Return a value as compact JSON; text that is not Unicode cannot stand in it and is replaced."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")


def event(value: Any, name: str | None = None) -> bytes:
    """Return a server-sent event."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + to_json(value) + b"\n\n"


def stream_error(problem: Problem) -> bytes:
    """Return what OpenAI streams say when they fail half-way."""
    return event({"error": problem.error()})


def line(value: Any) -> bytes:
    """Return a line of JSON."""
    return to_json(value) + b"\n"


def _problem(error: Exception, lease: Lease) -> Problem:
    """Return what to tell of an error; a task that had no more time may fail in many ways."""
    return problem_of(Stopped("timeout") if lease.late and isinstance(error, SmolforgeError) else error)


class SlowReader(Exception):
    """A client left its answer unread for too long."""


def _impatient(send: Send, serving: Serving, scope: Scope) -> Send:
    """Return ``send`` that gives up on a client that does not read, and cuts its connection."""

    async def send_soon(message: Message) -> None:
        try:
            async with asyncio.timeout(serving.settings.stall):
                await send(message)
        except TimeoutError:
            if (transport := scope.get("state", {}).get("transport")) is not None:
                cut(transport)
            raise SlowReader from None

    return send_soon


async def _left(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Message:
    raise AssertionError("a plain response does not read")
