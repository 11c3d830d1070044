"""Ollama's routes: chat, generate, embed, and what tells clients which model is here.

There is one model; nothing is pulled, made or removed over HTTP. Answers come as lines of JSON unless ``stream`` is
false, as Ollama's do.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

import smolforge
from smolforge.engine.engine import Engine
from smolforge.serve.answers import Asked
from smolforge.serve.asking import chat_requests
from smolforge.serve.body import checked
from smolforge.serve.fields.ollama import OllamaChat, OllamaEmbed, OllamaGenerate, OllamaShow
from smolforge.serve.ollama_answer import NANOSECONDS, OllamaAnswer, Shape, as_message, as_response, now
from smolforge.serve.ollama_asking import chat_of, check_room, requests_of
from smolforge.serve.ollama_models import described, listed, running
from smolforge.serve.problems import Problem
from smolforge.serve.replies import LINES, Streamed, Whole, line
from smolforge.serve.serving import Serving, serving_of
from smolforge.serve.tool_asking import tool_use

router = APIRouter(prefix="/api")


@router.post("/chat")
async def chat(request: Request) -> Response:
    """Answer a conversation; without messages, say that the model is loaded."""
    fields, serving = await checked(request, OllamaChat), serving_of(request)
    serving.expect(fields.model)
    if not fields.messages:
        return _loaded(serving, as_message)

    def ask(engine: Engine) -> OllamaAnswer:
        chat = chat_of(engine, fields)
        use = tool_use(chat.tools, None, None)
        asked = Asked(serving, engine, chat_requests(engine, chat, use))
        return OllamaAnswer(engine, serving.model, asked, as_message, use.calls)

    return _answered(serving, ask, fields.stream)


@router.post("/generate")
async def generate(request: Request) -> Response:
    """Answer a prompt; without one, say that the model is loaded."""
    fields, serving = await checked(request, OllamaGenerate), serving_of(request)
    serving.expect(fields.model)
    if not fields.prompt:
        return _loaded(serving, as_response)

    def ask(engine: Engine) -> OllamaAnswer:
        asked = Asked(serving, engine, requests_of(engine, fields))
        return OllamaAnswer(engine, serving.model, asked, as_response, calls=False)

    return _answered(serving, ask, fields.stream)


@router.post("/embed")
async def embed(request: Request) -> Response:
    """Return a vector of length 1 for each text."""
    fields, serving = await checked(request, OllamaEmbed), serving_of(request)
    serving.expect(fields.model)

    def work(engine: Engine) -> dict[str, Any]:
        check_room(engine, fields.options)
        began = time.monotonic()
        texts = [fields.input] if isinstance(fields.input, str) else fields.input
        ids = [engine.model.encode(text) for text in texts]
        if fields.truncate:
            ids = [row[: engine.context] for row in ids]
        return {
            "model": serving.model,
            "embeddings": engine.embed(ids).tolist(),
            "total_duration": round((time.monotonic() - began) * NANOSECONDS),
            "load_duration": 0,
            "prompt_eval_count": sum(map(len, ids)),
        }

    return Whole(serving, lambda engine: serving.in_task(work, engine))


@router.post("/show")
async def show(request: Request) -> Response:
    """Describe the model."""
    fields, serving = await checked(request, OllamaShow), serving_of(request)
    serving.expect(fields.model)
    return JSONResponse(await serving.off_loop(described, serving.engine))


@router.get("/tags")
async def tags(request: Request) -> Response:
    """List the models that can be asked: the one that is here."""
    serving = serving_of(request)
    return JSONResponse({"models": [await serving.off_loop(listed, serving.engine)]})


@router.get("/ps")
async def processes(request: Request) -> Response:
    """List the models that are in memory: the same one."""
    serving = serving_of(request)
    return JSONResponse({"models": [await serving.off_loop(running, serving.engine)]})


@router.get("/version")
async def version() -> dict[str, str]:
    """Say which server this is; the number is smolforge's own."""
    return {"version": smolforge.__version__}


def _answered(serving: Serving, ask: Callable[[Engine], OllamaAnswer], stream: bool) -> Response:
    async def whole(engine: Engine) -> dict[str, Any]:
        return await (await serving.off_loop(ask, engine)).whole()

    async def pieces(engine: Engine) -> AsyncIterator[bytes]:
        async for value in (await serving.off_loop(ask, engine)).lines():
            yield line(value)

    return Streamed(serving, pieces, LINES, _failed) if stream else Whole(serving, whole)


def _loaded(serving: Serving, shape: Shape) -> Response:
    head = {"model": serving.model, "created_at": now()}
    return JSONResponse({**head, **shape(""), "done": True, "done_reason": "load"})


def _failed(problem: Problem) -> bytes:
    return line({"error": problem.message})
