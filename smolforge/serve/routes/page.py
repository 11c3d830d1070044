"""``GET /``: the chat page, and under ``/page/`` the static files it is made of. Open to everybody, without a key.

Input: the folder ``smolforge/serve/page``, read once. Output: files with their type, an ETag, and headers under which a
browser loads nothing from elsewhere, frames the page nowhere, and never reads a text as HTML.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

router = APIRouter()

FOLDER = Path(__file__).parent.parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Trusted Types without a policy: a browser that knows them refuses every assignment of text as markup or script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",  # kept, and asked for with its ETag each time: a new version shows at once
}


@dataclass(frozen=True)
class File:
    """One file of the page; ``tag`` is its ETag."""

    content: bytes
    type: str
    tag: str


@cache
def bundle() -> dict[str, File]:
    """Return the files by their path below the folder; what is not in this table is not served."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in paths}


def _read(path: Path) -> File:
    content = path.read_bytes()
    return File(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Send the page."""
    return _send(request, "index.html")


@router.api_route("/page/{path:path}", methods=["GET", "HEAD"])
async def file(request: Request, path: str) -> Response:
    """Send one of the files the page is made of."""
    return _send(request, path)


def _send(request: Request, path: str) -> Response:
    found = bundle().get(path)
    if found is None:
        raise HTTPException(404, f"/page/{path}: no such file")
    headers = {**HEADERS, "ETag": found.tag}
    known = request.headers.get("If-None-Match", "")
    if known == "*" or found.tag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.type, headers=headers)
