"""A chat-completions server for tests that behaves as a script says, request by request."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

Body = dict[str, Any]
Answering = Callable[["Handler", Body], None]


@dataclass
class Scripted:
    """The server's address, the bodies it was sent in order, and the Authorization headers."""

    base_url: str
    bodies: list[Body] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Reads one request and lets the script answer it."""

    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.bodies.append(body)
            self.server.seen.keys.append(self.headers.get("Authorization"))
        self.server.answering(self, body)

    def say(self, text: str, **message: Any) -> None:
        """Answer as a good server does."""
        choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        self.send(200, json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode())

    def send(self, status: int, data: bytes, **headers: str) -> None:
        """Send one answer with its length."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 64
    answering: Answering
    seen: Scripted
    lock: threading.Lock

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is what some tests are about."""


@contextmanager
def scripted(answering: Answering) -> Iterator[Scripted]:
    """Serve on a free port of this machine until the block ends."""
    with _Server(("127.0.0.1", 0), Handler) as server:
        server.seen, server.lock = Scripted(f"http://127.0.0.1:{server.server_address[1]}/v1"), threading.Lock()
        server.answering = answering
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.seen
        finally:
            server.seen.stop.set()
            server.shutdown()
