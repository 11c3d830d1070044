"""What a person sees of one answer while it comes: reasoning and text as events, each in whole characters.

Input: tokens with their places. Output: ``ReasoningDelta`` and ``TextDelta`` events in order.
"""

from __future__ import annotations

from smolforge.engine.text_stream import TextStream, TokenTable
from smolforge.engine.thinking import Place, Trimmed
from smolforge.generator import Event, ReasoningDelta, Request, TextDelta


class AnswerText:
    """The two streams of one request. Stop strings are looked for in the answer only.

    Newlines around the reasoning, and between it and the answer, belong to the template and are left out.
    """

    def __init__(self, request: Request, table: TokenTable) -> None:
        self._answer, self._reasoning = TextStream(table, request.stop_strings), TextStream(table)
        self._lead, self._frame = Trimmed(end=False), Trimmed(end=True)
        self._behind_block = False
        self._deltas: list[ReasoningDelta | TextDelta] = []

    @property
    def stopped(self) -> str | None:
        """The stop string that was found."""
        return self._answer.stopped

    def push(self, place: Place, token: int) -> None:
        """Take one token."""
        if place is Place.ANSWER:
            self._add(TextDelta, self._trimmed(self._answer.push(token)))
        elif place is Place.REASONING:
            self._add(ReasoningDelta, self._frame.push(self._reasoning.push(token)))
        else:  # the open or close of a block: what stands before it is complete
            self._add(ReasoningDelta, self._frame.push(self._reasoning.finish()))
            self._behind_block = True

    def drain(self, last: bool) -> list[Event]:
        """Return the events since the last call; the ``last`` one also holds what was held back."""
        if last:
            self._add(ReasoningDelta, self._frame.push(self._reasoning.finish()))
            self._add(TextDelta, self._trimmed(self._answer.finish()))
        deltas, self._deltas = self._deltas, []
        return [*deltas]

    def _trimmed(self, text: str) -> str:
        return self._lead.push(text) if self._behind_block else text

    def _add(self, kind: type[ReasoningDelta] | type[TextDelta], text: str) -> None:
        if not text:
            return
        if self._deltas and isinstance(self._deltas[-1], kind):
            text = self._deltas.pop().text + text
        self._deltas.append(kind(text))
