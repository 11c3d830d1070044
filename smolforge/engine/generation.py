"""Generation as a piece of work: a ``Decoding`` in the scheduler's hands.

Input: a request and the model's token table. Output: a ``Completion``, and the decoding's events on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from smolforge.engine.decoding import Decoding
from smolforge.engine.draft_budget import DraftBudget
from smolforge.engine.text_stream import TokenTable
from smolforge.engine.work import Rows, Work
from smolforge.generator import Completion, Event, Request


class Generation(Work[Completion]):
    """Continues one prompt until the request's end."""

    def __init__(self, request: Request, table: TokenTable, budget: DraftBudget) -> None:
        self.decoding = Decoding(request, table, budget)
        known = [*request.prompt, *self.decoding.tokens]  # a think block may be closed before anything is generated
        super().__init__(known, len(request.prompt) + max(0, request.max_tokens), len(known) - 1)
        self.priority, self.timeout = request.priority, request.timeout
        self.done = self.decoding.finish is not None
        self._started = False

    def start(self, cached: int) -> None:
        """Tell the usage how much was cached; a second start, after pages were lost, does not count."""
        if not self._started:
            self.decoding.cached_tokens, self._started = min(cached, len(self.decoding.request.prompt)), True

    def draft(self, room: int, beside: int) -> Sequence[int]:
        """Return tokens the decoding expects next, no more than pay."""
        return self.decoding.draft(room, beside)

    def take(self, rows: Rows, draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        """Choose tokens from the rows after the last known token and after each drafted one."""
        before = len(self.decoding.tokens)
        events = self.decoding.take(rows, draft)
        new = self.decoding.tokens[before:]
        self.looks_from += len(new)
        self.done = self.decoding.finish is not None
        return new, events

    def stop(self, reason: Literal["cancelled", "timeout"]) -> list[Event]:
        """End the decoding where it stands; one that has ended keeps its own reason."""
        self.done = True
        return self.decoding.end(reason)

    def result(self) -> Completion:
        """Return the tokens so far and why they ended."""
        assert self.decoding.finish is not None
        return Completion(self.decoding.tokens, self.decoding.finish, tuple(self.decoding.logprobs))
