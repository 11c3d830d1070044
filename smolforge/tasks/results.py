"""What the result of a task cost: tokens and seconds, added up over the requests it took.

Input: an ``Answer``, or a ``Usage`` with its ``Timings``. Output: ``Cost``, which every task's result carries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from smolforge.engine.job import Timings
from smolforge.generator import Usage

Progress = Callable[[int, int], None]  # is called with how much is done, and how much there is in all


class Charged(Protocol):
    """Whatever knows its token counts and times, as an ``Answer`` does."""

    @property
    def usage(self) -> Usage:
        """Token counts."""

    @property
    def timings(self) -> Timings:
        """Seconds."""


@dataclass(frozen=True)
class Cost:
    """Tokens and seconds of one or more requests. ``Cost()`` is nothing; ``sum(costs, Cost())`` adds up.

    Seconds are those of each request from its own start to its own end: of requests that ran together, the sum is more
    than what passed on the clock.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    waited: float = 0.0
    prompt: float = 0.0
    generation: float = 0.0

    @classmethod
    def of(cls, request: Charged) -> Cost:
        """Return what one request cost."""
        return cls(**asdict(request.usage), **asdict(request.timings))

    @property
    def usage(self) -> Usage:
        """The tokens alone."""
        return Usage(
            self.prompt_tokens, self.cached_tokens, self.completion_tokens, self.reasoning_tokens, self.drafted_tokens,
            self.accepted_tokens,
        )  # fmt: skip

    @property
    def timings(self) -> Timings:
        """The seconds alone: in queues, reading prompts, generating."""
        return Timings(self.waited, self.prompt, self.generation)

    def __add__(self, other: Cost) -> Cost:
        mine, theirs = asdict(self), asdict(other)
        return Cost(**{name: value + theirs[name] for name, value in mine.items()})

    def json(self) -> dict[str, Any]:
        """Return ``{"usage": token counts, "timings": seconds}``, as ``--json`` prints it."""
        return {"usage": asdict(self.usage), "timings": {k: round(v, 4) for k, v in asdict(self.timings).items()}}
