"""An answer as it is made: its text to standard output, its reasoning and its figures to standard error.

Input: events of one request. Output: what a person sees, and ``Spoken``, what was said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from smolforge.cli.terminal import Screen
from smolforge.generator import Event, Finish, Finished, ReasoningDelta, TextDelta, Usage


@dataclass
class Spoken:
    """One answer. ``seconds`` in all, ``first`` until the first token that was not cached or read."""

    text: str = ""
    reasoning: str = ""
    finish: Finish = "cancelled"
    usage: Usage | None = None
    seconds: float = 0.0
    first: float = 0.0
    began: float = field(default_factory=time.perf_counter, repr=False)

    def take(self, event: Event) -> None:
        """Learn from an event."""
        now = time.perf_counter() - self.began
        self.first, self.seconds = self.first or now, now
        if isinstance(event, TextDelta):
            self.text += event.text
        elif isinstance(event, ReasoningDelta):
            self.reasoning += event.text
        elif isinstance(event, Finished):
            self.finish, self.usage = event.finish, event.usage

    @property
    def rate(self) -> float:
        """Tokens a second after the first one."""
        made = self.usage.completion_tokens if self.usage else 0
        return (made - 1) / (self.seconds - self.first) if made > 1 and self.seconds > self.first else 0.0

    def figures(self) -> str:
        """Return one line of what it took."""
        if self.usage is None:
            return f"stopped after {self.seconds:.2f} s"
        use = self.usage
        cached = f" ({use.cached_tokens} cached)" if use.cached_tokens else ""
        drafts = f", {use.accepted_tokens} of {use.drafted_tokens} drafts right" if use.drafted_tokens else ""
        cut = {"length": ", cut off at the limit", "cancelled": ", stopped", "timeout": ", out of time"}
        return (
            f"{use.completion_tokens} tokens in {self.seconds:.2f} s, {self.rate:.0f} tokens/s; prompt "
            f"{use.prompt_tokens}{cached}, first token {self.first:.2f} s{drafts}{cut.get(self.finish, '')}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything as a JSON value."""
        return {
            "answer": self.text,
            "reasoning": self.reasoning or None,
            "finish": self.finish,
            "usage": vars(self.usage) if self.usage else None,
            "seconds": round(self.seconds, 4),
            "first_token_seconds": round(self.first, 4),
            "tokens_per_second": round(self.rate, 1),
        }


def speak(events: Iterator[Event], *, quiet: bool = False, stoppable: bool = False) -> Spoken:
    """Show an answer while it is made and return it; ``quiet`` shows nothing.

    Ctrl-C ends an answer that is ``stoppable`` and keeps what was said; any other it abandons.
    """
    out, err = Screen(sys.stdout), Screen(sys.stderr)
    spoken = Spoken()
    try:
        for event in events:
            spoken.take(event)
            if isinstance(event, TextDelta) and not quiet:
                _end_reasoning(spoken, event.text, err)
                out.write(event.text)
            elif isinstance(event, ReasoningDelta) and not quiet:
                at_start = not spoken.reasoning.removesuffix(event.text).strip()
                err.write(event.text.lstrip() if at_start else event.text, dim=True)
    except KeyboardInterrupt:
        if not stoppable:
            raise
    if not quiet:
        out.write("\n")
    return spoken


def _end_reasoning(spoken: Spoken, piece: str, err: Screen) -> None:
    """Put the answer on a line of its own."""
    if spoken.reasoning.strip() and spoken.text == piece:
        err.write("\n" if spoken.reasoning.endswith("\n") else "\n\n", dim=True)
