"""One request over a connection of its own, read as it comes: the time of the first word, the text, the counts.

Input: a port of this machine and a body. Output: ``Seen``. Written on plain streams, so that two hundred clients take
little of the machine that the server computes on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

ANSWER_SECONDS = 600


@dataclass
class Seen:
    """What a client saw. ``first``: seconds until the first piece of text (0: none came); ``tokens``: as counted."""

    status: int = 0
    text: str = ""
    first: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    whole: bool = False  # the answer came to its end
    problem: str = ""


async def ask(port: int, path: str, body: bytes, leave_after: int | None = None) -> Seen:
    """Ask and read; a client that leaves closes its connection after so many pieces of text."""
    seen, began = Seen(), time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            seen.status = int((await reader.readline()).split()[1])
            headers = await _headers(reader)
            if headers.get("transfer-encoding") == "chunked":
                await _stream(reader, seen, began, leave_after)
            else:
                seen.problem = (await reader.read()).decode(errors="replace")
    except (OSError, IndexError, asyncio.IncompleteReadError) as error:
        seen.problem = f"{type(error).__name__}: {error}"
    finally:
        writer.close()
    seen.seconds = time.perf_counter() - began
    return seen


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        found[name.strip().lower()] = value.strip().lower()
    return found


async def _stream(reader: asyncio.StreamReader, seen: Seen, began: float, leave_after: int | None) -> None:
    pieces = 0
    async for data in _events(reader):
        if data == b"[DONE]":
            seen.whole = True
            return
        event: dict[str, Any] = json.loads(data)
        if "error" in event:
            seen.problem = json.dumps(event["error"])
        if event.get("usage"):
            seen.tokens = event["usage"]["completion_tokens"]
        for choice in event.get("choices") or ():
            if text := choice["delta"].get("content"):
                seen.first = seen.first or time.perf_counter() - began
                seen.text += text
                pieces += 1
        if leave_after is not None and pieces >= leave_after:
            return


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the data of each server-sent event of a chunked body."""
    held = b""
    while size := int((await reader.readline()) or b"0", 16):
        held += (await reader.readexactly(size + 2))[:-2]
        *events, held = held.split(b"\n\n")
        for event in events:
            if event.startswith(b"data: "):
                yield event[6:]
