"""Minutes of clients that ask, leave, send nonsense and ask for hostile forms, all at once, beside what is right.

Input: a running server and the greedy answers that were computed one after the other. Output: ``Tally``: what came
back, and the server's memory second by second.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

import numpy as np

from .client import Seen, ask
from .ours import Served
from .questions import CHAT, MALFORMED, Question, hostile

BUSY = 429
SHARES = {"ask": 0.66, "leave": 0.16, "malformed": 0.1, "hostile": 0.08}


@dataclass
class Tally:
    """Counts by kind of client; ``wrong`` and ``failed`` say what and how; ``memory`` holds (second, megabytes)."""

    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*SHARES, "busy"), 0))
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def slope(self) -> float:
        """Return megabytes a minute over the second half, by least squares."""
        later = np.array(self.memory[len(self.memory) // 2 :])
        return float(np.polyfit(later[:, 0], later[:, 1], 1)[0] * 60) if len(later) > 2 else 0.0


def soak(server: Served, known: list[tuple[Question, str]], clients: int, seconds: float) -> Tally:
    """Let ``clients`` ask for so long, each as soon as it has its answer."""
    return asyncio.run(_soak(server, known, clients, seconds))


async def _soak(server: Served, known: list[tuple[Question, str]], clients: int, seconds: float) -> Tally:
    tally, began = Tally(), time.monotonic()

    async def watch() -> None:
        while True:
            tally.memory.append((time.monotonic() - began, server.resident()))
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(_client(server, known, tally, number, began + seconds) for number in range(clients)))
    watching.cancel()
    return tally


async def _client(
    server: Served, known: list[tuple[Question, str]], tally: Tally, number: int, end: float
) -> None:  # fmt: skip
    draw = random.Random(number)
    while time.monotonic() < end:
        kind = draw.choices(list(SHARES), list(SHARES.values()))[0]
        if kind in ("ask", "leave"):
            question, right = draw.choice(known)
            leave = draw.randint(1, 6) if kind == "leave" else None
            seen = await ask(server.port, CHAT, question.body(), leave)
            wrong = _differs(seen, right, leave)
        else:
            body = draw.choice(MALFORMED) if kind == "malformed" else hostile(draw.randrange(1000))
            seen, wrong = await ask(server.port, CHAT, body), ""
        if seen.status == BUSY:
            kind = "busy"
            await asyncio.sleep(1)
        elif failure := _failure(seen, kind):
            tally.failed.append(failure)
        elif wrong:
            tally.wrong.append(wrong)
        tally.done[kind] += 1


def _differs(seen: Seen, right: str, leave: int | None) -> str:
    """Say how an answer, or the part that a client stayed for, differs from the right one."""
    same = right.startswith(seen.text) if leave is not None and not seen.whole else seen.text == right
    return "" if same else f"{seen.text!r} instead of {right!r}"


def _failure(seen: Seen, kind: str) -> str:
    """Say what a server must never do: fail, take nonsense for a question, or not answer a question to its end."""
    if seen.status == 200 and kind == "ask" and not seen.whole:
        return f"broken off: {seen.problem}"
    allowed = {"ask": {200}, "leave": {200}, "malformed": {400, 404, 413}, "hostile": {200, 400}}[kind]
    return "" if seen.status in allowed else f"{kind}: status {seen.status} {seen.problem[:200]}"
