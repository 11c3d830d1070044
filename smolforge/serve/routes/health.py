"""``GET /health`` (or ``HEAD``): whether the server takes requests. Open to everybody, without a key."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from smolforge.serve.serving import serving_of

router = APIRouter()


@router.get("/health")
@router.head("/health", include_in_schema=False)
async def health(request: Request) -> JSONResponse:
    """Say "ok", or with status 503 that the server is being stopped."""
    if serving_of(request).draining:
        return JSONResponse({"status": "draining"}, 503)
    return JSONResponse({"status": "ok"})
