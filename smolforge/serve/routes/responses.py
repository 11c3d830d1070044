"""``POST /v1/responses``: OpenAI's newer way to ask, without storage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response

from smolforge.engine.engine import Engine
from smolforge.serve.answers import Asked
from smolforge.serve.asking import chat_requests
from smolforge.serve.body import checked
from smolforge.serve.fields.responses import ResponseFields
from smolforge.serve.problems import Problem
from smolforge.serve.replies import EVENTS, Streamed, Whole, event
from smolforge.serve.response_answer import ResponseAnswer
from smolforge.serve.response_asking import chat_fields
from smolforge.serve.serving import Serving, serving_of
from smolforge.serve.tool_asking import tool_use

router = APIRouter()


@router.post("/v1/responses")
async def responses(request: Request) -> Response:
    """Answer a conversation."""
    fields, serving = await checked(request, ResponseFields), serving_of(request)
    serving.expect(fields.model)

    async def whole(engine: Engine) -> dict[str, Any]:
        return await (await _begin(serving, engine, fields)).whole()

    async def pieces(engine: Engine) -> AsyncIterator[bytes]:
        answer = await _begin(serving, engine, fields)
        async for name, told in answer.events():
            yield event(told, name)

    return Streamed(serving, pieces, EVENTS, _failed) if fields.stream else Whole(serving, whole)


async def _begin(serving: Serving, engine: Engine, fields: ResponseFields) -> ResponseAnswer:
    def begin() -> ResponseAnswer:
        chat = chat_fields(fields)
        use = tool_use(chat.tools, chat.tool_choice, chat.parallel_tool_calls)
        asked = Asked(serving, engine, chat_requests(engine, chat, use))
        return ResponseAnswer(engine, serving.model, fields, asked, use.calls)

    return await serving.off_loop(begin)


def _failed(problem: Problem) -> bytes:
    error = problem.error()
    return event({"type": "error", **{name: error[name] for name in ("code", "message", "param")}}, "error")
