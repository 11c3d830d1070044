"""What the server is told at start: address, keys, who may ask, and how much; and what is refused then.

Input: options of the command line or of a Python caller. Output: ``Settings``. ConfigError where the server would be
open to others without a key.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from smolforge.errors import ConfigError

KEY_VARIABLE = "SMOLFORGE_API_KEY"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
SHORTEST_KEY = 16
_KEY = re.compile(r"[\x21-\x7e]+")  # what a header can carry
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True)
class Settings:
    """How to serve; times in seconds.

    ``keys``: any of them opens the server; none: everybody on this machine may ask. ``allow_hosts``: further names that
    requests may be addressed to. ``allow_origins``: pages of other origins that may ask. ``timeout``: most seconds one
    request may take. ``arrival``: until a request's head, and then its body, must be here. ``stall``: how long a client
    may leave an answer unread. ``drain``: how long running requests may go on after SIGTERM. ``body_bytes``: the
    largest body. ``open``: HTTP requests at once; those above it are refused. ConfigError says what cannot be.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    keys: tuple[str, ...] = field(default=(), repr=False)
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    timeout: float = 600.0
    arrival: float = 30.0
    stall: float = 30.0
    drain: float = 30.0
    body_bytes: int = 4 << 20
    open: int = 512

    def __post_init__(self) -> None:
        if not self.loopback and not self.keys:
            raise ConfigError(
                f"--host {self.host} opens the model to other machines, which needs a key: give --api-key-file FILE, "
                f"or set ${KEY_VARIABLE} (make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))')"
            )
        for key in self.keys:
            if len(key) < SHORTEST_KEY or not _KEY.fullmatch(key):
                raise ConfigError(f"an API key needs {SHORTEST_KEY} visible ASCII characters or more, without spaces")
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"--port {self.port}: expected 0 (any free one) to 65535")
        for name in ("timeout", "arrival", "stall", "drain"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name)}, expected more than 0 seconds")
        for host in self.allow_hosts:
            if not _HOST.fullmatch(host.lower()):
                raise ConfigError(f"--allow-host {host!r}: expected a host name without port, such as box.local")
        for origin in self.allow_origins:
            if not _is_origin(origin):
                raise ConfigError(f"--allow-origin {origin!r}: expected scheme://host[:port], such as http://box:3000")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def hosts(self) -> frozenset[str]:
        """Names that the Host header may carry, in lower case, without port."""
        own = () if self.loopback else (socket.gethostname(), self.host)
        return frozenset(name.lower() for name in (*LOOPBACK_NAMES, *own, *self.allow_hosts))


def read_keys(file: Path) -> tuple[str, ...]:
    """Return the keys of a file, one a line; empty lines and those that begin with # do not count."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{file}: cannot be read as a file of API keys, one a line") from None
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise ConfigError(f"{file}: holds no API key; expected one a line")
    return keys


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and text == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        return False
