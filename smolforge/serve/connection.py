"""One TCP connection: uvicorn's, with a limit on how long a request may take to arrive, and on how many there are.

Input: bytes from a client. Output: requests for the application, which also gets the transport, to cut off a client
that does not read.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """``patience``: seconds until the head of a request must be here. ``most``: connections at once."""

    def __init__(self, *, patience: float, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._patience, self._most = patience, most
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; one too many is cut at once, so that files are left for the others."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        if len(self.connections) > self._most:
            cut(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, with the line in the log that every request has; what was sent stays out of it."""
        super().send_400_response(msg)
        print(f"{self.client[0] if self.client else '-'} - - 400 0ms {len(msg)}B", file=sys.stderr, flush=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._rest()

    def _watch(self) -> None:
        """Let the timer run while a request has not arrived; between requests, uvicorn's own does."""
        arrived = self.cycle is not None and not self.cycle.response_complete
        if arrived:
            self._rest()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._patience, self.transport.close)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def cut(transport: asyncio.Transport) -> None:
    """End a connection at once, and let the system forget what the client has not read."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
