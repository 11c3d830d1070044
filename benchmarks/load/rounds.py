"""Both servers under the same rush: every client asks one new question at the same moment.

Input: two ports. Output: tokens per second of all clients together, and how long each waited for its first words.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np

from .client import Seen, ask
from .questions import CHAT, questions


@dataclass
class Rush:
    """One server's rounds: ``rates`` in tokens per second, a round each; ``firsts`` in seconds, a client each."""

    rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)

    def first(self, percentile: float) -> float:
        """Return a percentile of the seconds until the first words."""
        return float(np.percentile(self.firsts, percentile))

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return float(np.median(self.rates))


def in_turn(ours: int, peer: int, clients: int, rounds: int) -> tuple[Rush, Rush]:
    """Rush both servers in turn, each first in every other round; questions are new in each round."""
    found = Rush(), Rush()
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            _rush((ours, peer)[side], clients, f"{turn}.", found[side])
    return found


def _rush(port: int, clients: int, label: str, into: Rush) -> None:
    async def all_at_once() -> list[Seen]:
        return await asyncio.gather(*(ask(port, CHAT, one.body()) for one in questions(clients, label)))

    began = time.perf_counter()
    seen = asyncio.run(all_at_once())
    seconds = time.perf_counter() - began
    if broken := [one for one in seen if not one.whole]:
        raise RuntimeError(f"{len(broken)} of {clients} were not answered, one with {broken[0]}")
    into.rates.append(sum(one.tokens for one in seen) / seconds)
    into.firsts += [one.first or one.seconds for one in seen]
