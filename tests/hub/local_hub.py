"""A hub on this machine, for tests: the two endpoints that `pull` uses, with faults on request.

It serves real bytes over real sockets: listings with digests, redirects to a second host name, ranges, and connections
that break in the middle.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 10_000  # bytes from which a file is stored as the hub stores large files


@dataclass
class Repository:
    """What a repository holds, and how its server misbehaves."""

    files: dict[str, bytes]
    commit: str = "a" * 40
    revisions: tuple[str, ...] = ("main",)
    token: str | None = None
    break_after: list[int] = field(default_factory=list)  # bytes after which each next large transfer breaks
    busy: int = 0  # answers of 503 before the first good one
    ranges: bool = True
    lie_about: str | None = None  # a file that is sent with other bytes than announced
    redirect: bool = False  # large files come from another host name
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # (host, path, headers)


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if len(data) >= LARGE else git_digest(data)


def _sibling(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"rfilename": path, "size": len(data), "blobId": git_digest(data)}
    if len(data) >= LARGE:
        entry["lfs"] = {"sha256": digest(data), "size": len(data), "pointerSize": 130}
    return entry


class _Handler(BaseHTTPRequestHandler):
    repositories: dict[str, Repository]
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        owner, repo, *rest = parts[2:] if api else parts[1:] if parts[0] == "cdn" else parts
        found = self.repositories.get(f"{owner}/{repo}")
        if found is None:
            return self._send(404, b"")
        found.requests.append((self.headers["Host"], self.path, dict(self.headers)))
        if found.busy:
            found.busy -= 1
            return self._send(503, b"busy")
        if parts[0] != "cdn" and found.token and self.headers.get("Authorization") != f"Bearer {found.token}":
            return self._send(401, b"")
        if api:
            return self._listing(found, "/".join(rest[1:]))
        return self._file(found, rest[1], "/".join(rest[2:]), at_cdn=parts[0] == "cdn")

    def _listing(self, found: Repository, revision: str) -> None:
        if revision not in (*found.revisions, found.commit):
            return self._send(404, b"")
        siblings = [_sibling(path, data) for path, data in found.files.items()]
        return self._send(200, json.dumps({"sha": found.commit, "siblings": siblings}).encode())

    def _file(self, found: Repository, commit: str, path: str, *, at_cdn: bool) -> None:
        data = found.files.get(path)
        if data is None or commit != found.commit:
            return self._send(404, b"")
        if found.redirect and len(data) >= LARGE and not at_cdn:
            port = self.headers["Host"].rpartition(":")[2]
            return self._send(302, b"", {"Location": f"http://localhost:{port}/cdn{self.path}"})
        if found.lie_about == path:
            data = bytes(len(data))
        start = 0
        if found.ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        broken = found.break_after.pop(0) if found.break_after and len(data) >= LARGE else None
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        return self._send(206 if start else 200, data[start:], headers, broken)

    def _send(self, code: int, body: bytes, headers: dict[str, str] | None = None, broken: int | None = None) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if broken is None else body[:broken])
        if broken is not None:
            self.close_connection = True


@contextmanager
def serve(repositories: dict[str, Repository]) -> Iterator[str]:
    """Serve and yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"repositories": repositories}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
