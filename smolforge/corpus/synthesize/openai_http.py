"""An OpenAI-compatible server as a generator: one POST a sample, with limits on time and size, and patience.

Input: a ``Request``. Output: a ``Sample``. Busy (429), ill (5xx, 408), slow and garbled answers are tried again,
later each time and not before the server's Retry-After; a refused request (400, 413, 422) fails alone; a wrong key,
address or model stops everything. Redirects are not followed, so that the key goes to the configured address and to
no other.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from smolforge.corpus.synthesize.endpoint import EndpointConfig, Failed
from smolforge.corpus.synthesize.keyed import fraction
from smolforge.corpus.synthesize.request import Request, Sample
from smolforge.errors import ConfigError, NetworkError

_FIRST_WAIT = 0.5  # seconds; doubles with each attempt
_SHOWN = 300  # characters of a server's message
_AGAIN = frozenset({408, 409, 425, 429})


class _Again(Exception):
    """Worth another attempt. ``after``: seconds the server asks for; ``reached``: whether a server was there."""

    def __init__(self, reason: str, after: float = 0.0, reached: bool = True) -> None:
        super().__init__(reason)
        self.after, self.reached = after, reached


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str | None
    body: bytes


class OpenAIBackend:
    """Posts to ``base_url``/chat/completions. ConfigError where the key's variable is not set."""

    def __init__(self, config: EndpointConfig) -> None:
        assert config.base_url is not None
        self.model, self._config = config.model, config
        self._url = urlsplit(f"{config.base_url}/chat/completions")
        self._key = _key(config)
        self._closing = threading.Event()
        self._open: set[http.client.HTTPConnection] = set()
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None

    def close(self) -> None:
        """Cut every connection; wait before no attempt any more."""
        self._closing.set()
        for connection in list(self._open):
            _cut(connection)

    def ask(self, request: Request, sample: int) -> Sample:
        """Answer one sample after as many attempts as allowed."""
        key = request.key(self.model, sample)
        body = json.dumps(self._body(request, sample), ensure_ascii=False).encode()
        for attempt in range(1, self._config.attempts + 1):
            try:
                return _read(self._judge(self._post(body)), key)
            except _Again as trouble:
                last = trouble
                if self._closing.is_set():
                    raise NetworkError(f"{self._config.base_url}: closed before the answer came") from None
                wait = max(trouble.after, _FIRST_WAIT * 2 ** (attempt - 1) * (0.5 + fraction(key, attempt)))
                if attempt < self._config.attempts and trouble.after <= self._config.longest_wait:
                    self._closing.wait(min(wait, self._config.longest_wait))
                else:
                    break
        if not last.reached:
            raise NetworkError(f"{self._config.base_url}: {last}. Is the server running, and is the address right?")
        raise Failed(f"{last}, after {attempt} attempts", by_generator=True)

    def _body(self, request: Request, sample: int) -> dict[str, Any]:
        params = request.params
        body: dict[str, Any] = {
            "model": self.model, "messages": [dict(message) for message in request.messages],
            "temperature": params.temperature, "top_p": params.top_p, "max_tokens": params.max_tokens,
            "seed": request.seed + sample,
        }  # fmt: skip
        if params.frequency_penalty:
            body["frequency_penalty"] = params.frequency_penalty
        if params.stop:
            body["stop"] = list(params.stop)
        if request.schema is not None:
            form = {"name": "answer", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return {**body, **params.extra}

    def _post(self, body: bytes) -> _Answer:
        """Send once. The whole exchange ends within the timeout, however slowly bytes trickle in."""
        headers = {"Content-Type": "application/json", "User-Agent": "smolforge"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        connection = self._connection()
        limit = self._config.reply_bytes
        with self._ending(connection) as late:
            try:
                connection.connect()
                if self._closing.is_set():  # too late for ``close`` to have cut it
                    raise _Again("closed")
            except OSError as error:
                raise _Again(f"no connection ({error})", reached=isinstance(error, TimeoutError)) from None
            try:
                connection.request("POST", self._url.path, body, headers)
                answer = connection.getresponse()
                data = answer.read(limit + 1)
            except (OSError, http.client.HTTPException) as error:
                reason = (
                    f"no answer within {self._config.timeout:g} seconds"
                    if late.is_set()
                    else f"it broke off ({error!r})"
                )
                raise _Again(self._safe(reason)) from None
            if late.is_set():
                raise _Again(f"no answer within {self._config.timeout:g} seconds")
        if len(data) > limit:
            raise Failed(f"the answer has more than {limit} bytes")
        if answer.length:  # announced and not sent
            raise _Again(f"the answer ends {answer.length} bytes early")
        return _Answer(answer.status, answer.headers.get("Retry-After"), data)

    @contextmanager
    def _ending(self, connection: http.client.HTTPConnection) -> Iterator[threading.Event]:
        """Cut the connection at the timeout, which the event then says, or at ``close``; close it in any case."""
        late = threading.Event()

        def cut() -> None:
            late.set()
            _cut(connection)

        timer = threading.Timer(self._config.timeout, cut)
        timer.daemon = True
        timer.start()
        self._open.add(connection)
        try:
            yield late
        finally:
            timer.cancel()
            self._open.discard(connection)
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, timeout = str(self._url.hostname), self._config.timeout
        if self._tls is not None:
            return http.client.HTTPSConnection(host, self._url.port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(host, self._url.port, timeout=timeout)

    def _judge(self, answer: _Answer) -> bytes:
        """Return the body of a good answer; otherwise raise what its status means."""
        status, where = answer.status, self._config.base_url
        if status == 200:
            return answer.body
        message, code = _problem(answer.body)
        said = self._safe(f"status {status}{': ' + message if message else ''}")
        if status in _AGAIN or status >= 500:
            raise _Again(said, _seconds(answer.retry_after))
        if status in (401, 403):
            held = (
                f"the key in ${self._config.key_variable}"
                if self._key
                else "no key (name its variable in key_variable)"
            )
            raise ConfigError(f"{where} refused {held}: {said}")
        if status == 404 or code == "model_not_found":
            raise ConfigError(
                f"{where}: no model {self.model!r}, or no /chat/completions there ({said}); the address usually ends "
                "in /v1"
            )
        if 300 <= status < 400:
            raise ConfigError(f"{where} sends elsewhere ({said}); give the final address, redirects are not followed")
        raise Failed(said)

    def _safe(self, text: str) -> str:
        """Return a text without the key: some servers repeat it."""
        return text.replace(self._key, "***") if self._key else text


def _key(config: EndpointConfig) -> str | None:
    if config.key_variable is None:
        return None
    key = os.environ.get(config.key_variable, "").strip()
    if not key:
        raise ConfigError(f"key_variable: the environment has no {config.key_variable}, or it is empty")
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"key_variable: {config.key_variable} holds characters that no key has")
    return key


def _cut(connection: http.client.HTTPConnection) -> None:
    """Let whoever reads from or writes to the connection find it at its end."""
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


def _seconds(retry_after: str | None) -> float:
    """Return what a Retry-After header asks for: a number of seconds or a date (RFC 9110 10.2.3)."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _problem(body: bytes) -> tuple[str, str]:
    """Return (message, code) of an error in OpenAI's form, or the beginning of whatever the body is."""
    text = body[: 4 * _SHOWN].decode(errors="replace")
    try:
        error = json.loads(body)["error"]
        if isinstance(error, dict):
            return str(error.get("message") or "")[:_SHOWN], str(error.get("code") or "")
        return str(error)[:_SHOWN], ""
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())[:_SHOWN], ""


def _read(body: bytes, key: str) -> Sample:
    """Return the sample an answer holds; _Again where it is no answer in OpenAI's form."""
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        message, usage = choice["message"], answer.get("usage") or {}
        reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
        tokens = (int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
        text, finish = str(message.get("content") or ""), str(choice.get("finish_reason") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise _Again(f"status 200, but not a chat completion ({type(error).__name__}: {error})") from None
    return Sample(key, _clean(text), _clean(str(reasoning)), finish, tokens)


def _clean(text: str) -> str:
    """Return the text with lone surrogates, which no file can hold, as replacement characters."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
