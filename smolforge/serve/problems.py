"""What went wrong, in the shapes clients read: OpenAI's error object, and Ollama's below ``/api/``.

Input: any exception of a request. Output: an HTTP response. What a person can fix is said; a defect of ours is a 500
without details, whose traceback goes to standard error.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from smolforge.engine.admission import Overloaded
from smolforge.engine.scheduler import Closed
from smolforge.engine.work import Stopped
from smolforge.errors import SmolforgeError

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Problem(Exception):
    """A refusal. ``param`` is the field at fault, ``code`` a word for programs."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def error(self) -> dict[str, Any]:
        """Return OpenAI's error object."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"message": self.message, "type": kind, "param": self.param, "code": self.code}

    def body(self, path: str) -> bytes:
        """Return the body for a request to ``path``."""
        error: Any = self.message if path.startswith("/api/") else self.error()
        return json.dumps({"error": error}, ensure_ascii=False).encode(errors="replace")

    def response(self, path: str) -> Response:
        """Return the response to a request to ``path``."""
        return Response(self.body(path), self.status, self.headers, "application/json")


def problem_of(error: BaseException) -> Problem:
    """Return what to tell the client about an exception; what is no fault of the request's is printed."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Overloaded):
        return Problem(429, str(error), code="overloaded", headers={"Retry-After": str(error.retry_after)})
    if isinstance(error, Closed):
        return Problem(503, "the server is shutting down", code="shutting_down", headers={"Retry-After": "5"})
    if isinstance(error, Stopped):
        return Problem(504, f"the request was {error}", code="timeout")
    if isinstance(error, SmolforgeError):
        return Problem(400, str(error), code="invalid_value")
    report(error)
    return defect()


def defect() -> Problem:
    """Return what a client is told of a defect of ours."""
    return Problem(500, "the server failed on this request; its log says where", code="internal_error")


def report(error: BaseException) -> None:
    """Print where a defect of ours struck, without the message, which may hold what a client wrote."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    print(f"smolforge serve: {type(error).__name__}\n{frames}", end="", file=sys.stderr, flush=True)
