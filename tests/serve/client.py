"""A small HTTP client for the tests: nothing between them and what the server really sends."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

PATIENCE = 600.0  # seconds; a test machine may be slow


def eventually(happened: Callable[[], bool]) -> None:
    """Wait until something has happened; fail where it does not in a very long time."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


@dataclass(frozen=True)
class Reply:
    """Status, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a JSON value."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's error object."""
        found: dict[str, Any] = self.json["error"]
        assert set(found) == {"message", "type", "param", "code"}
        return found


class Client:
    """Asks the server at ``host``:``port``; ``headers`` go along with every request."""

    def __init__(self, host: str, port: int, headers: dict[str, str] | None = None) -> None:
        self.host, self.port, self.headers = host, port, headers or {}

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://{self.host}:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """Send one request and read the whole response."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Reply:
        """GET."""
        return self.ask("GET", path, None, headers)

    def post(self, path: str, value: Any, headers: dict[str, str] | None = None) -> Reply:
        """POST a value as JSON, or bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json", **(headers or {})})

    def events(self, path: str, value: Any) -> Iterator[Any]:
        """POST, and yield the data of each server-sent event: JSON, or the text ``[DONE]``."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            connection.request("POST", path, json.dumps(value).encode(), self.headers)
            response = connection.getresponse()
            assert response.status == 200, response.read()
            assert response.headers["content-type"].startswith("text/event-stream")
            for line in response:
                if line.startswith(b"data: "):
                    data = line[6:].strip().decode()
                    yield data if data == "[DONE]" else json.loads(data)
        finally:
            connection.close()

    def message(self, path: str, value: Any) -> bytes:
        """Return a whole request as it goes over the wire."""
        body = json.dumps(value).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def connect(self, path: str, value: Any) -> socket.socket:
        """Send a request and return the socket, for tests of clients that misbehave."""
        connection = socket.create_connection((self.host, self.port), PATIENCE)
        connection.sendall(self.message(path, value))
        return connection
