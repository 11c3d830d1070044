"""The layer before everything: who may ask from where, with which key, how much, and how many at once.

Input: every HTTP request, before its body is read. Output: the request handed on, or a refusal; and one line a request
on standard error, without query, body or key.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import sys
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smolforge.serve.problems import Problem, problem_of
from smolforge.serve.replies import SlowReader
from smolforge.serve.serving import Serving

OPEN_TO_ALL = ("/", "/health", "/favicon.ico")  # and below PAGE: a person needs the page to type the key into
PAGE = "/page/"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Api-Key, *",
    "Access-Control-Max-Age": "600",
}
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app, self.serving = app, serving
        self._keys = [key.encode() for key in serving.settings.keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it."""
        if scope["type"] != "http":
            return
        seen = _Seen(scope, send)
        self.serving.open += 1
        try:
            await self._serve(scope, receive, seen)
        except (ClientDisconnect, SlowReader):
            pass
        except asyncio.CancelledError:
            if not self.serving.draining:
                raise
        except Exception as error:
            problem = problem_of(error)
            if seen.status is None:
                await problem.response(scope["path"])(scope, receive, seen.send)
        finally:
            self.serving.open -= 1
            self.serving.metrics.request(seen.route, seen.status or 499)
            print(seen.line(), file=sys.stderr, flush=True)

    async def _serve(self, scope: Scope, receive: Receive, seen: _Seen) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._host(headers.get("host"))
            cors = self._origin(headers)
            seen.headers.update(cors)
            if cors and scope["method"] == "OPTIONS":
                await Problem(204, "").response("")(scope, receive, seen.send)
                return
            self._key(scope["path"], headers)
            self._room(scope["path"])
            self._size(headers.get("content-length"))
        except Problem as problem:
            await problem.response(scope["path"])(scope, receive, seen.send)
            return
        await self._app(scope, self._bounded(receive), seen.send)

    def _host(self, host: str | None) -> None:
        """Refuse a request that was addressed to another name: a page elsewhere whose name was pointed here."""
        name = (host or "").lower().rpartition(":")[0] if _has_port(host or "") else (host or "").lower()
        settings = self.serving.settings
        if name in settings.hosts or (not settings.loopback and _is_address(name)):
            return
        message = (
            f"the host {host!r} is not this server's; if it should be, start it with --allow-host {name or 'NAME'}"
        )
        raise Problem(403, message, code="host_not_allowed")

    def _origin(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Refuse pages of other origins; return the headers for those that are allowed."""
        origin = headers.get("origin")
        if origin is None:
            site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
            if site in ("cross-site", "same-site") and mode != "navigate":
                raise Problem(403, "pages of another origin may not ask here", code="origin_not_allowed")
            return {}
        if origin in self.serving.settings.allow_origins:
            return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **_PREFLIGHT}
        if _authority(origin) == headers.get("host", "").lower():
            return {}
        message = f"pages of {origin!r} may not ask here; if they should, start the server with --allow-origin"
        raise Problem(403, message, code="origin_not_allowed")

    def _key(self, path: str, headers: Mapping[str, str]) -> None:
        """Compare the key with every one that is valid, in a time that says nothing about them."""
        if not self._keys or path in OPEN_TO_ALL or path.startswith(PAGE):
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = (token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")).encode("latin-1")
        if not sum(hmac.compare_digest(given, key) for key in self._keys):  # a sum: all are compared
            message = "a valid API key is needed: Authorization: Bearer KEY"
            raise Problem(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    def _room(self, path: str) -> None:
        if path == "/health":
            return
        if self.serving.draining:
            headers = {"Retry-After": "5", "Connection": "close"}
            raise Problem(503, "the server is shutting down", code="shutting_down", headers=headers)
        if self.serving.open > self.serving.settings.open:
            message = f"{self.serving.settings.open} requests are open already"
            raise Problem(429, message, code="overloaded", headers={"Retry-After": "1"})

    def _size(self, length: str | None) -> None:
        if length is not None and int(length) > self.serving.settings.body_bytes:
            raise self._too_large()

    def _bounded(self, receive: Receive) -> Receive:
        """Return ``receive`` for a body of bounded size that comes in a bounded time."""
        limit, seconds = self.serving.settings.body_bytes, self.serving.settings.arrival
        until = time.monotonic() + seconds
        taken, complete = 0, False

        async def bounded() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()  # what follows is the client's leaving
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise Problem(408, f"the body did not come within {seconds:g} s", code="timeout") from None
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > limit:
                raise self._too_large()
            return message

        return bounded

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self.serving.settings.body_bytes:,} bytes", code="too_large")


class _Seen:
    """What one request turned out to be, for its line in the log."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._began, self._bytes = time.monotonic(), 0
        self.status: int | None = None
        self.headers = dict(_ALWAYS)

    async def send(self, message: Message) -> None:
        """Send, with the headers every response has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = list(message.get("headers", ()))
            known = {name.lower() for name, _ in given}
            ours = {name.lower().encode(): value.encode("latin-1") for name, value in self.headers.items()}
            message = {**message, "headers": given + [pair for pair in ours.items() if pair[0] not in known]}
        self._bytes += len(message.get("body", b""))
        await self._send(message)

    @property
    def route(self) -> str:
        """The route's pattern; one word for all that are none, since paths are the client's to choose."""
        return getattr(self._scope.get("route"), "path", "other")

    def line(self) -> str:
        """Return the line: client, method, path, status (499: the client left), milliseconds, bytes."""
        client = (self._scope.get("client") or ("-",))[0]
        path = self._scope["raw_path"].decode("ascii", "replace").partition("?")[0][:200]
        milliseconds = 1000 * (time.monotonic() - self._began)
        return f"{client} {self._scope['method']} {path} {self.status or 499} {milliseconds:.0f}ms {self._bytes}B"


def _has_port(host: str) -> bool:
    head, colon, port = host.rpartition(":")
    return bool(colon) and port.isdigit() and not (head.startswith("[") and "]" not in head)


def _is_address(name: str) -> bool:
    """Whether a name is an IP address, which nobody can point elsewhere."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
