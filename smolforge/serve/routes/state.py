"""``GET /metrics`` and ``GET /props``: what the server is doing, and what it is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

import smolforge
from smolforge.engine.asking import CHAT, DEFAULT_TOKENS
from smolforge.engine.codec import FileCodec
from smolforge.serve.serving import serving_of
from smolforge.tokens.template import template_source

router = APIRouter()


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return the counters in Prometheus' text format."""
    serving = serving_of(request)
    text = serving.metrics.text(serving.engine.status(), serving.open)
    return Response(text, media_type="text/plain; version=0.0.4")


@router.get("/props")
async def props(request: Request) -> dict[str, Any]:
    """Describe the server: model, context, defaults, limits, state."""
    serving = serving_of(request)
    engine, settings, state = serving.engine, serving.settings, serving.engine.status()
    codec = engine.codec
    return {
        "model_alias": serving.model,
        "build_info": f"smolforge {smolforge.__version__}",
        "total_slots": engine.limits.running,
        "default_generation_settings": {
            "n_ctx": engine.context,
            "params": {"temperature": CHAT.temperature, "top_p": CHAT.top_p, "max_tokens": DEFAULT_TOKENS},
        },
        "modalities": {"vision": False, "audio": False},
        "chat_template": codec.facts.chat_template if isinstance(codec, FileCodec) else template_source(),
        "thinks": engine.model.think is not None,
        "kv": engine.kv,
        "limits": {
            "queue": engine.limits.waiting,
            "open_requests": settings.open,
            "body_bytes": settings.body_bytes,
            "seconds": settings.timeout,
        },
        "status": {
            "running": state.running,
            "waiting": state.waiting,
            "pages_used": state.pages_used,
            "pages": state.pages,
        },
    }
