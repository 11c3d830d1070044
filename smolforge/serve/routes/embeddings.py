"""``POST /v1/embeddings``: the mean of a text's final hidden states, scaled to length 1."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from smolforge.engine.engine import Engine
from smolforge.serve.body import checked
from smolforge.serve.fields.completions import each_prompt
from smolforge.serve.fields.tokens import EmbeddingFields
from smolforge.serve.problems import Problem
from smolforge.serve.replies import Whole
from smolforge.serve.serving import serving_of
from smolforge.serve.tokenizing import ids_of

router = APIRouter()


@router.post("/v1/embeddings")
async def embeddings(request: Request) -> Response:
    """Embed texts."""
    fields, serving = await checked(request, EmbeddingFields), serving_of(request)
    serving.expect(fields.model)
    width = serving.engine.model.config["hidden_size"]
    if fields.dimensions not in (None, width):
        raise Problem(400, f"dimensions: this model has {width}, and no others", param="dimensions")

    async def whole(engine: Engine) -> dict[str, Any]:
        texts = each_prompt(fields.input)
        ids = await serving.off_loop(lambda: [ids_of(engine, text, "input") for text in texts])
        vectors = await serving.in_task(engine.embed, ids)
        read = sum(map(len, ids))
        return {
            "object": "list",
            "model": serving.model,
            "data": [
                {"object": "embedding", "index": i, "embedding": _written(vector, fields.encoding_format)}
                for i, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": read, "total_tokens": read},
        }

    return Whole(serving, whole)


def _written(vector: NDArray[np.float32], form: str | None) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(f"{value:.9g}") for value in vector]  # nine digits say a float32 exactly
