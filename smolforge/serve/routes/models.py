"""``GET /v1/models``: the one model that is served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from smolforge.serve.serving import Serving, serving_of

router = APIRouter()


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """List the models."""
    return {"object": "list", "data": [_model(serving_of(request))]}


@router.get("/v1/models/{name:path}")
async def model(request: Request, name: str) -> dict[str, Any]:
    """Describe one model."""
    serving = serving_of(request)
    serving.expect(name)
    return _model(serving)


def _model(serving: Serving) -> dict[str, Any]:
    engine = serving.engine
    return {
        "id": serving.model,
        "object": "model",
        "created": serving.created,
        "owned_by": "smolforge",
        "meta": {
            "n_vocab": engine.vocab_size,
            "n_ctx": engine.context,
            "n_embd": engine.model.config["hidden_size"],
            "thinks": engine.model.think is not None,
        },
    }
