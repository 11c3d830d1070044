"""The client of generators: requests in, replies out in their order, each answer kept before anybody sees it.

Input: ``Request``s and a ``Backend`` (an OpenAI-compatible address, or an engine handed in from above). Output:
``Reply``s; how many are asked at a time leaves no trace in them. Typical use:

    with open_client(config, folder / "requests.sqlite") as client:
        for reply in client.replies(requests): ...
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from smolforge.corpus.synthesize.cache import ReplyCache
from smolforge.corpus.synthesize.request import Reply, Request, Sample
from smolforge.errors import ConfigError, NetworkError
from smolforge.store.config import Config

_AHEAD = 4  # requests in flight or finished and waiting for their turn, for each that may be asked at a time
_IN_A_ROW = 8  # failures on the generator's side after which it is taken to be down


class EndpointConfig(Config):
    """Who answers. ``base_url`` as OpenAI clients have it (``http://127.0.0.1:8080/v1``); without one, ``model`` is
    opened in this process. Where and how fast change no byte of the result, so only ``model`` belongs to its identity.


    ``key_variable`` names the environment variable that holds the key; the key itself is written nowhere.
    """

    model: str
    base_url: str | None = Field(None, exclude=True)
    key_variable: str | None = Field(None, exclude=True)
    concurrency: int = Field(4, ge=1, le=1024, exclude=True, description="requests at a time")
    timeout: float = Field(
        300.0, gt=0, exclude=True, description="seconds, one attempt from connecting to the last byte"
    )
    attempts: int = Field(5, ge=1, le=20, exclude=True)
    longest_wait: float = Field(120.0, ge=0, exclude=True, description="seconds before an attempt, whatever is asked")
    reply_bytes: int = Field(4 << 20, ge=1024, exclude=True, description="of one HTTP answer")
    retry_failed: bool = Field(False, exclude=True, description="ask again what is kept as failed")

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected http://HOST[:PORT]/v1 or https://..., found {value!r}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("no user, key or query belongs in the address; name a variable in key_variable")
        return value.rstrip("/")


class Failed(Exception):
    """One request cannot be answered; the text says why. ``by_generator``: it, not the request, seems to be ill."""

    def __init__(self, reason: str, by_generator: bool = False) -> None:
        super().__init__(reason)
        self.by_generator = by_generator


class Backend(Protocol):
    """What answers. ``model`` names it in keys and provenance: the same name, the same answers."""

    model: str

    def ask(self, request: Request, sample: int) -> Sample:
        """Answer one sample; Failed where it cannot be, ConfigError or NetworkError where none can."""

    def close(self) -> None:
        """End what is being answered (``ask`` raises NetworkError), give back what is held."""


class Client:
    """Asks a backend through the cache. ``asked`` counts the samples that were not in the cache."""

    def __init__(self, backend: Backend, cache: ReplyCache, concurrency: int = 4, retry_failed: bool = False) -> None:
        self.backend, self.cache, self.asked = backend, cache, 0
        self._concurrency, self._retry_failed = concurrency, retry_failed
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="generator")
        self._lock = threading.Lock()
        self._in_flight: dict[str, Future[Sample]] = {}
        self._failed_in_a_row = 0
        self._failed_now: set[str] = set()  # in this run: not asked once more in it

    @property
    def model(self) -> str:
        """The generator's name, as it stands in provenance."""
        return self.backend.model

    def replies(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield a reply for every request, in order. Leaving early lets those in flight end and starts no more."""
        waiting: deque[tuple[Request, list[Sample | Future[Sample]]]] = deque()
        try:
            for request in requests:
                waiting.append((request, [self._sample(request, number) for number in range(request.n)]))
                if len(waiting) >= _AHEAD * self._concurrency:
                    yield _reply(*waiting.popleft())
            while waiting:
                yield _reply(*waiting.popleft())
        finally:
            for _, samples in waiting:
                for sample in samples:
                    if isinstance(sample, Future):
                        sample.cancel()

    def reply(self, request: Request) -> Reply:
        """Answer one request."""
        return next(self.replies([request]))

    def _sample(self, request: Request, number: int) -> Sample | Future[Sample]:
        key = request.key(self.model, number)
        with self._lock:  # the cache is asked under it too: a sample leaves the table when it is kept
            if key in self._in_flight and not self._in_flight[key].cancelled():
                return self._in_flight[key]
            found = self.cache.find(key, failures=not self._retry_failed or key in self._failed_now)
            if found is not None:
                return found
            self._in_flight[key] = self._pool.submit(self._ask, request, number, key)
            return self._in_flight[key]

    def _ask(self, request: Request, number: int, key: str) -> Sample:
        try:
            sample = self.backend.ask(request, number)
            self._failed_in_a_row = 0
        except Failed as failure:
            self._count_failure(failure)
            sample = Sample(key, failure=str(failure))
        self.cache.keep(sample, request.as_json(self.model, number))
        with self._lock:
            self.asked += 1
            if sample.failure is not None:
                self._failed_now.add(key)
            self._in_flight.pop(key, None)
        return sample

    def _count_failure(self, failure: Failed) -> None:
        with self._lock:
            self._failed_in_a_row = self._failed_in_a_row + 1 if failure.by_generator else 0
            if self._failed_in_a_row >= _IN_A_ROW:
                raise NetworkError(
                    f"{self.model}: {_IN_A_ROW} requests in a row failed, the last with: {failure}. Replies so far are "
                    f"kept in {self.cache.path}; run again when the generator is well, with retry_failed for these"
                )

    def close(self) -> None:
        """End what is in flight, close backend and cache."""
        self.backend.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.cache.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reply(request: Request, samples: list[Sample | Future[Sample]]) -> Reply:
    return Reply(request, tuple(each.result() if isinstance(each, Future) else each for each in samples))


def open_client(config: EndpointConfig, cache: Path, backend: Backend | None = None) -> Client:
    """Return a client of the configured address, or of ``backend`` (an engine in this process) where there is none.

    ConfigError where neither is there or the key's variable is not set. No connection is opened before a request.
    """
    from smolforge.corpus.synthesize.openai_http import OpenAIBackend

    answering: Backend | None = OpenAIBackend(config) if config.base_url else backend
    if answering is None:
        raise ConfigError(
            f"generator {config.model!r}: give base_url, the address of an OpenAI-compatible server "
            "('smolforge serve' is one: http://127.0.0.1:8080/v1); here no engine was handed in"
        )
    return Client(answering, ReplyCache(cache), config.concurrency, config.retry_failed)
