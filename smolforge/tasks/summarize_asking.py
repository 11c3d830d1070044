"""What a model is asked to summarize a text, a section of one, or the summaries of sections; and how long each may be.

Input: an engine and ``summarize.Options``. Output: requests. The instruction comes first in every prompt and is read
once, so that requests which run together share it.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from smolforge.errors import ConfigError, nearest
from smolforge.generator import Sampling
from smolforge.tasks.length import MOST_TOKENS_PER_WORD, Length, count_words

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine
    from smolforge.generator import Request
    from smolforge.tasks.summarize import Options
    from smolforge.tokens.messages import Message

LANGUAGES = {
    "en": "English", "fr": "French", "es": "Spanish", "de": "German", "it": "Italian", "pt": "Portuguese",
    "ar": "Arabic", "zh": "Chinese", "ru": "Russian",
}  # fmt: skip
WORDS = 100  # where no bound is given
SECTION_TOKENS = 2048  # of a text that is read at once, where the context has room for it
THINKING_TOKENS = 512
_LEAST_SECTION = 128
_SHRINK = 4  # a section's summary is at most this part of a section, so that each round leaves less to read
_ROOM = 16  # tokens: where text and template meet, tokens may be cut anew


class Asker:
    """Makes requests: of a whole text, of a section of one, of the summaries of sections."""

    def __init__(self, engine: Engine, options: Options) -> None:
        self.engine = engine
        given = Length(options.get("words"), options.get("sentences"), options.get("tokens"))
        self.length = Length(WORDS) if given == Length() else given
        language = options.get("language")
        if language is not None and language not in LANGUAGES:
            raise ConfigError(f"language '{language}'{nearest(language, LANGUAGES)}: expected {', '.join(LANGUAGES)}")
        self._language, self._focus = language, options.get("focus")
        think = options.get("think", False)
        budget = options.get("thinking_budget") or THINKING_TOKENS
        self._options: dict[str, Any] = {
            "sampling": Sampling(), "think": think, "thinking_budget": budget if think else None,
            "timeout": options.get("timeout"),
        }  # fmt: skip
        self._reasoning = budget + _ROOM if think else 0
        self._read = set[str]()
        self.section = self._section_tokens(options.get("section_tokens"))
        most = max(_LEAST_SECTION // _SHRINK, 2 * self.length.most_tokens(MOST_TOKENS_PER_WORD))
        self.part_length = Length(tokens=min(self.section // _SHRINK, most))

    def whole(self, text: str, parts: bool) -> Request:
        """Ask for the summary of a text, or of the summaries of its ``parts``."""
        about = "The user gives summaries of the parts of one text, in order. Summarize the text"
        return self._request(about if parts else "Summarize the text that the user gives", text, self.length)

    def part(self, text: str) -> Request:
        """Ask for the summary of a section."""
        return self._request("Summarize the part of a longer text that the user gives", text, self.part_length)

    def _request(self, what: str, text: str, length: Length) -> Request:
        most = length.most_tokens(self._tokens_per_word(text)) + self._reasoning
        self._warm(what, length)
        return self.engine.request(self._messages(what, text, length), max_tokens=most, **self._options)

    def _warm(self, what: str, length: Length) -> None:
        """Read the instruction once, so that requests that run together share it."""
        if what in self._read:
            return
        self._read.add(what)
        one, other = (self.engine.request(self._messages(what, text, length), **self._options).prompt for text in "A1")
        self.engine.warm([a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))])

    def _messages(self, what: str, text: str, length: Length) -> list[Message]:
        tongue = f"Write in {LANGUAGES[self._language]}" if self._language else "Write in the language of the text"
        focus = f" Above all the reader wants to know: {self._focus}." if self._focus else ""
        system = f"{what} {length.asked}. {tongue}. Say only what the text says.{focus} Answer with the summary alone."
        return [{"role": "system", "content": system}, {"role": "user", "content": text}]

    def _tokens_per_word(self, text: str) -> float:
        """Return how many tokens a word of the answer takes: as many as one of the text, in the same language."""
        if self._language is not None:
            return MOST_TOKENS_PER_WORD
        ratio = len(self.engine.codec.encode_text([text])[0]) / max(1, count_words(text))
        return min(max(ratio, 1.0), 2 * MOST_TOKENS_PER_WORD)

    def _section_tokens(self, wanted: int | None) -> int:
        """Return how many tokens of a text one request may hold."""
        if wanted is not None and wanted < _LEAST_SECTION:
            raise ConfigError(f"section_tokens is {wanted}, expected {_LEAST_SECTION} or more")
        engine = self.engine
        asked = self._messages("Summarize the part of a longer text that the user gives", "x", self.length)
        around = len(engine.request(asked, **self._options).prompt)
        answer = self.length.most_tokens(2 * MOST_TOKENS_PER_WORD) + self._reasoning
        room = engine.context - around - answer - 2 * _ROOM
        if room < max(_LEAST_SECTION, wanted or 0):
            raise ConfigError(
                f"of {engine.context} positions the instruction takes {around} and the summary up to {answer}: "
                f"{max(0, room)} are left for a section of text; ask for a shorter summary or smaller sections"
            )
        return min(wanted or SECTION_TOKENS, room)
