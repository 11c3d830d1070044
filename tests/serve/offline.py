"""Keeps clients under test on this machine: a connection or a name look-up that leaves it fails."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

LEFT: list[str] = []  # what was tried, for clients that swallow errors
_NAMES = (None, "", "localhost", socket.gethostname())


def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine alone until the test ends, and tell libraries that there is no hub."""
    LEFT.clear()
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(variable, "1")
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded(sock: socket.socket, address: Any) -> None:
        _check(address[0] if sock.family != socket.AF_UNIX else "localhost")
        connect(sock, address)

    def guarded_ex(sock: socket.socket, address: Any) -> int:
        _check(address[0] if sock.family != socket.AF_UNIX else "localhost")
        return connect_ex(sock, address)

    def guarded_look_up(host: Any, *args: Any, **options: Any) -> Any:
        _check(host)
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


def _check(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in _NAMES:
        return
    try:
        inside = ipaddress.ip_address(name).is_loopback
    except ValueError:
        inside = False
    if not inside:
        LEFT.append(str(name))
        raise OSError(f"a test tried to reach {name}")
