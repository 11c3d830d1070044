"""The application: the routes, what they share, and the guard in front of them.

Input: an open engine and settings. Output: an ASGI application that any server can run; ``run.py`` does.
"""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import smolforge
from smolforge.engine.engine import Engine
from smolforge.serve.guard import Guard
from smolforge.serve.problems import Problem, defect
from smolforge.serve.routes import (
    chat,
    completions,
    embeddings,
    health,
    models,
    ollama,
    page,
    responses,
    state,
    tasks,
    tokens,
)
from smolforge.serve.serving import Serving
from smolforge.serve.settings import Settings

FAMILIES = (chat, completions, responses, embeddings, tasks, models, tokens, ollama, state, health, page)


def make_app(engine: Engine, settings: Settings) -> Guard:
    """Return the application. It opens no connection of its own: no telemetry, no documentation page from elsewhere."""
    app = FastAPI(
        title="smolforge",
        version=smolforge.__version__,
        docs_url=None,
        redoc_url=None,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    app.state.serving = Serving(engine, settings)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _defect)
    for family in FAMILIES:
        app.include_router(family.router, include_in_schema=family is not page)  # files are no interface
    return Guard(app, app.state.serving)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.url.path)


async def _left(request: Request, error: Exception) -> Response:
    """Nobody reads this; it counts as what it is, and not as a failure of the server."""
    return Response(status_code=499)


async def _defect(request: Request, error: Exception) -> Response:
    """Answer in the shape of every error; the guard, which the error reaches next, prints it."""
    return defect().response(request.url.path)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = {404: f"{request.url.path}: no such route", 405: f"{request.method} is not for {request.url.path}"}
    problem = Problem(error.status_code, text.get(error.status_code, error.detail), headers=error.headers or {})
    return problem.response(request.url.path)
