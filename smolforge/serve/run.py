"""Runs the application with uvicorn until it is told to stop; then running requests may finish.

Input: an open engine and settings. Output: an exit code. Access lines and problems go to standard error.
"""

from __future__ import annotations

import socket
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from smolforge.engine.engine import Engine
from smolforge.errors import ConfigError
from smolforge.serve.app import make_app
from smolforge.serve.connection import Connection
from smolforge.serve.settings import Settings

UNREAD = 256 << 10  # bytes the system holds for a client that does not read, of its own accord megabytes
SPARE = 128  # connections beyond the requests that may be open: idle ones, and those that are told so


def bound(settings: Settings) -> socket.socket:
    """Return a listening socket; ConfigError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)  # every connection inherits it
    try:
        listener.bind((settings.host, settings.port))
        listener.listen()  # who connects before the server runs waits
    except OSError as error:
        listener.close()
        raise ConfigError(f"--host {settings.host} --port {settings.port}: {error.strerror or error}") from None
    return listener


class Server(uvicorn.Server):
    """uvicorn that drains: a first signal refuses new requests and waits for the running ones, a second does not."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        app = make_app(engine, settings)
        self.serving = app.serving
        connection: Any = partial(Connection, patience=settings.arrival, most=settings.open + SPARE)
        config = uvicorn.Config(
            app, http=connection, ws="none", lifespan="off", log_config=None, log_level="error", access_log=False,
            server_header=False, proxy_headers=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        super().__init__(config)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal; it is not raised again behind the server, so the exit code is ours."""
        self.serving.drain()

    async def on_tick(self, counter: int) -> bool:
        """Ask ten times a second whether it is over."""
        self.serving.cut_late()
        self.should_exit = self.should_exit or self.serving.drained
        return await super().on_tick(counter)


def serve(engine: Engine, settings: Settings, listener: socket.socket) -> int:
    """Serve on ``listener`` until told to stop; return 0."""
    server = Server(engine, settings)
    try:
        server.run([listener])
    finally:
        server.serving.close()
    return 0
