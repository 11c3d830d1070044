"""``POST /v1/chat/completions``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response

from smolforge.engine.engine import Engine
from smolforge.serve.answers import Asked
from smolforge.serve.asking import chat_requests
from smolforge.serve.body import checked
from smolforge.serve.chat_answer import ChatAnswer
from smolforge.serve.fields.chat import ChatFields
from smolforge.serve.replies import EVENTS, Streamed, Whole, event, stream_error
from smolforge.serve.serving import Serving, serving_of
from smolforge.serve.tool_asking import tool_use

router = APIRouter()


@router.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    """Answer a conversation."""
    fields, serving = await checked(request, ChatFields), serving_of(request)
    serving.expect(fields.model)

    async def whole(engine: Engine) -> dict[str, Any]:
        return await (await _begin(serving, engine, fields)).whole()

    async def pieces(engine: Engine) -> AsyncIterator[bytes]:
        answer = await _begin(serving, engine, fields)
        async for chunk in answer.chunks(fields.include_usage):
            yield event(chunk)
        yield b"data: [DONE]\n\n"

    return Streamed(serving, pieces, EVENTS, stream_error) if fields.stream else Whole(serving, whole)


async def _begin(serving: Serving, engine: Engine, fields: ChatFields) -> ChatAnswer:
    def begin() -> ChatAnswer:
        use = tool_use(fields.tools, fields.tool_choice, fields.parallel_tool_calls)
        asked = Asked(serving, engine, chat_requests(engine, fields, use))
        return ChatAnswer(engine, serving.model, asked, use.calls)

    return await serving.off_loop(begin)
