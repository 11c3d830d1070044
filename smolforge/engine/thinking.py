"""Which of a sequence's tokens are reasoning and which are the answer, and when a think block is closed for the model.

Input: the tokens of one answer in order, and the request's ``Thinking``. Output: a place for each token, and tokens to
write for the model. Everything goes by token ids: text that merely spells the tags never opens or closes a block.
"""

from __future__ import annotations

from enum import Enum

from smolforge.generator import Thinking


class Place(Enum):
    """Where a token belongs; a mark is the open or close of a block and belongs to no text."""

    REASONING = 1
    ANSWER = 2
    MARK = 3


class ThinkBlock:
    """Follows the think block of one answer.

    ``may_open`` holds until the first token is there; ``tokens`` counts reasoning. Without a ``Thinking`` everything is
    answer. A model that opens a second block in free text reasons again, on the same budget; with ``once`` (a
    constraint follows the block) that token is part of the answer.
    """

    def __init__(self, thinking: Thinking | None, once: bool) -> None:
        self._thinking, self._once = thinking, once
        self.inside = thinking is not None and thinking.opened
        self.may_open = thinking is not None and not thinking.opened
        self.tokens = 0

    def opens(self, token: int) -> bool:
        """Say whether ``token`` would open the block as the first of the answer."""
        return self.may_open and self._thinking is not None and token == self._thinking.open

    @property
    def spent(self) -> bool:
        """Say whether the block is open and its budget used up."""
        budget = self._thinking.budget if self._thinking is not None else None
        return self.inside and budget is not None and self.tokens >= budget

    def closing(self) -> tuple[int, ...]:
        """Return the tokens that close the open block: closing words, the close, what the template puts behind it."""
        assert self._thinking is not None and self.inside
        return (*self._thinking.closing, self._thinking.close, *self._thinking.after)

    def take(self, token: int) -> Place:
        """Place one token."""
        closed_for_good = self._once and not self.inside and not self.may_open
        self.may_open = False
        if self._thinking is None or closed_for_good:
            return Place.ANSWER
        if token == (self._thinking.close if self.inside else self._thinking.open):
            self.inside = not self.inside
            return Place.MARK
        self.tokens += self.inside
        return Place.REASONING if self.inside else Place.ANSWER


class Trimmed:
    """Text without the newlines at its start and, where ``end`` is set, at its end (held back until more follows)."""

    def __init__(self, end: bool) -> None:
        self._end, self._started, self._held = end, False, ""

    def push(self, text: str) -> str:
        """Take a piece of text; return what can be shown."""
        text = self._held + text
        if not self._started:
            text = text.lstrip("\n")
            self._started = bool(text)
        shown = text.rstrip("\n") if self._end else text
        self._held = text[len(shown) :]
        return shown
