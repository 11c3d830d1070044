"""``POST /v1/chat/completions``."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from smolforge.engine.engine import Engine
from smolforge.serve.answers import Asked
from smolforge.serve.asking import chat_requests
from smolforge.serve.body import checked
from smolforge.serve.chat_answer import ChatAnswer
from smolforge.serve.fields.chat import ChatFields
from smolforge.serve.replies import whole_or_chunks
from smolforge.serve.serving import Serving, serving_of
from smolforge.serve.tool_asking import tool_use

router = APIRouter()


@router.post("/v1/chat/completions")
async def chat(request: Request) -> Response:
    """Answer a conversation."""
    fields, serving = await checked(request, ChatFields), serving_of(request)
    serving.expect(fields.model)

    async def begin(engine: Engine) -> ChatAnswer:
        return await _begin(serving, engine, fields)

    return whole_or_chunks(serving, begin, stream=bool(fields.stream), include_usage=fields.include_usage)


async def _begin(serving: Serving, engine: Engine, fields: ChatFields) -> ChatAnswer:
    def begin() -> ChatAnswer:
        use = tool_use(fields.tools, fields.tool_choice, fields.parallel_tool_calls)
        asked = Asked(serving, engine, chat_requests(engine, fields, use))
        return ChatAnswer(engine, serving.model, asked, use.calls)

    return await serving.off_loop(begin)
