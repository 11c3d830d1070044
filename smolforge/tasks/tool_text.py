"""The words of an answer that may end in calls, while it comes: what stands before the first call, and nothing of it.

Input: the answer's text piece by piece. Output: pieces that join to what ``tool_grammar.parse_calls`` calls the words.
"""

from __future__ import annotations

from smolforge.tokens.special import TOOL_CALL

_END = f"\n{TOOL_CALL}"  # the line break before a call belongs to the call


class WordsBeforeCalls:
    """Holds text back as long as it may be the beginning of a call; from there on there are no words."""

    def __init__(self) -> None:
        self._held, self._called = "", False

    def push(self, text: str) -> str:
        """Take a piece; return the words that have become certain."""
        if self._called:
            return ""
        text = self._held + text
        words, tag, _ = text.partition(TOOL_CALL)
        if tag:
            self._held, self._called = "", True
            return words.removesuffix("\n")
        kept = len(text) - _unsure(text)
        self._held = text[kept:]
        return text[:kept]

    def finish(self) -> str:
        """Return what was held back and turned out to be words."""
        rest, self._held = self._held, ""
        return rest


def _unsure(text: str) -> int:
    """Return the length of the longest end of ``text`` that begins a call."""
    longest = range(min(len(text), len(_END) - 1), 0, -1)
    return next((n for n in longest if any(tag.startswith(text[-n:]) for tag in (_END, TOOL_CALL))), 0)
