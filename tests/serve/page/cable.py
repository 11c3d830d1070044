"""A cable between browser and server: the first part of an answer passes and no more, however fast both are."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.serve.client import Client

CHAT = b"POST /v1/chat/completions"
BYTES = 8192  # of an answer's events that pass: some words, far from all of a long story


class Cable:
    """Forwards to ``client``'s server until it is cut; holds back the rest of the first answer of a chat."""

    def __init__(self, client: Client) -> None:
        self._server = (client.host, client.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._held = threading.Event()
        self._cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()
        self.client = Client("127.0.0.1", self._listener.getsockname()[1])

    def cut(self) -> None:
        """End every connection, and take no more."""
        self._cut.set()
        _shut(self._listener)
        self._listener.close()
        for end in self._open:
            _shut(end)

    def _accept(self) -> None:
        while not self._cut.is_set():
            try:
                browser, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                return
            self._open += [browser, server]
            threading.Thread(target=self._forward, args=(browser, server), daemon=True).start()

    def _forward(self, browser: socket.socket, server: socket.socket) -> None:
        asks = threading.Event()
        threading.Thread(target=self._questions, args=(browser, server, asks), daemon=True).start()
        passed = 0
        try:
            while data := server.recv(1024):
                browser.sendall(data)
                passed += len(data) if asks.is_set() else 0
                if passed > BYTES and not self._held.is_set():
                    self._held.set()
                    self._cut.wait()
                    return  # and what the server has sent since then is not seen
        except OSError:
            pass
        finally:
            _shut(browser)

    def _questions(self, browser: socket.socket, server: socket.socket, asks: threading.Event) -> None:
        try:
            while data := browser.recv(65536):
                if data.startswith(CHAT):
                    asks.set()
                server.sendall(data)
        except OSError:
            pass
        finally:
            _shut(server)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
