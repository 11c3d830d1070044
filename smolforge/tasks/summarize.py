"""Summaries of bounded length: a text of any length in, a few sentences out, in its own language or another.

Input: an engine, texts, bounds. Output: ``Summary``. A text that is longer than a section is read in sections, all at
once, whose summaries are summarized in turn, as often as it takes. The instruction comes first in every prompt, so that
the engine reads it once for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from smolforge.errors import ConfigError, DataError, SmolforgeError, nearest
from smolforge.generator import Sampling
from smolforge.tasks.length import MOST_TOKENS_PER_WORD, Length, count_words
from smolforge.tasks.results import Cost
from smolforge.tasks.sections import Section, cut

if TYPE_CHECKING:
    from smolforge.engine.answer import AnswerStream
    from smolforge.engine.engine import Engine
    from smolforge.generator import Request
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


class Options(TypedDict, total=False):
    """How to summarize; all of it is optional.

    At most so many ``words`` (100, where no other bound is given), ``sentences`` and ``tokens``. ``language``: that of
    the summary, a code of ``LANGUAGES`` (None: the text's own). ``focus``: what matters most to the reader.
    ``think`` (False): reason first, at most ``thinking_budget`` (512) tokens. ``section_tokens`` (2,048, or what the
    context has room for): the parts that a longer text is read in. ``timeout``: seconds for each answer.
    """

    words: int | None
    sentences: int | None
    tokens: int | None
    language: str | None
    focus: str | None
    think: bool
    thinking_budget: int | None
    section_tokens: int | None
    timeout: float | None


@dataclass(frozen=True)
class Part:
    """The summary of one section, ``text[start:end]`` of the whole in characters."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Summary:
    """The summary; ``sections`` holds that of each section, where the text was too long to be read at once."""

    text: str
    sections: tuple[Part, ...]
    cost: Cost

    def json(self) -> dict[str, Any]:
        """Return all of it as one JSON value."""
        return {"summary": self.text, "sections": [vars(part) for part in self.sections], **self.cost.json()}


def summarize(engine: Engine, text: str, **options: Unpack[Options]) -> Summary:
    """Summarize a text; errors as ``summarize_batch``."""
    return summarize_batch(engine, [text], **options)[0]


def summarize_batch(engine: Engine, texts: Iterable[str], **options: Unpack[Options]) -> list[Summary]:
    """Summarize many texts together; results in their order.

    ConfigError for an option that is wrong, or for ``think`` with a model that has no think mode; DataError for an
    empty text, one that cannot be encoded, and a model that says nothing.
    """
    made = []
    for summary in summarize_each(engine, texts, **options):
        if isinstance(summary, SmolforgeError):
            raise summary
        made.append(summary)
    return made


def summarize_each(
    engine: Engine, texts: Iterable[str], **options: Unpack[Options]
) -> Iterator[Summary | SmolforgeError]:
    """As ``summarize_batch``, one after the other; what is wrong with one text is yielded in its place, not raised."""
    for name in options:
        if name not in Options.__annotations__:
            raise ConfigError(f"unknown option '{name}'{nearest(name, Options.__annotations__)}")
    return _Reader(_Asker(engine, options)).each(texts)


class _Asker:
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


class _Document:
    """One text on its way to a summary, round by round."""

    def __init__(self, asker: _Asker) -> None:
        self.outcome: Summary | SmolforgeError | None = None
        self._asker = asker
        self._codec = asker.engine.codec
        self._reading: list[Section] = []
        self._said: list[str] = []
        self._parts: tuple[Part, ...] = ()
        self._cost = Cost()

    def begin(self, text: str) -> list[Request]:
        """Return the requests of the next round: one a section, or the last one."""
        self._reading, self._said = cut(text, self._codec, self._asker.section), []
        if not self._reading:
            raise DataError("the model has said nothing" if self._parts else "the text is empty")
        if len(self._reading) == 1:
            return [self._asker.whole(text, parts=bool(self._parts))]
        return [self._asker.part(section.text) for section in self._reading]

    def take(self, stream: AnswerStream) -> list[Request]:
        """Wait for the answer to the oldest open request; return the requests that it makes possible."""
        answer = stream.answer()
        self._cost += Cost.of(answer)
        if answer.finish not in ("stop", "length"):
            raise DataError("out of time before the summary was complete")
        last = len(self._reading) == 1
        length = self._asker.length if last else self._asker.part_length
        text = length.cut(answer.text, self._codec, ended=answer.finish == "stop")
        if last:
            if not text:
                raise DataError("the model has said nothing")
            self.outcome = Summary(text, self._parts, self._cost)
            return []
        self._said.append(text)
        if len(self._said) < len(self._reading):
            return []
        said = zip(self._reading, self._said, strict=True)
        self._parts = self._parts or tuple(Part(section.start, section.end, text) for section, text in said)
        return self.begin("\n\n".join(text for text in self._said if text))


class _Reader:
    """Keeps the engine busy with many documents, whose later requests depend on the answers to earlier ones."""

    def __init__(self, asker: _Asker) -> None:
        self._asker = asker
        self._open: deque[_Document] = deque()  # in the order of their texts
        self._asked: deque[_Document] = deque()  # one for each request that has been made, in their order
        self._next: deque[tuple[_Document, Request]] = deque()

    def each(self, texts: Iterable[str]) -> Iterator[Summary | SmolforgeError]:
        """Yield what has come of each text, in order."""
        unread = iter(texts)
        while True:
            for stream in self._asker.engine.streams(self._requests(unread)):
                document = self._asked.popleft()
                self._go_on(document, partial(document.take, stream))
                yield from self._finished()
            if not self._next:
                break
        yield from self._finished()

    def _requests(self, unread: Iterator[str]) -> Iterator[Request]:
        """Yield requests that have become possible, and when there are none those of the next text."""
        while True:
            while self._next:
                document, request = self._next.popleft()
                self._asked.append(document)
                yield request
            text = next(unread, None)
            if text is None:
                return
            document = _Document(self._asker)
            self._open.append(document)
            self._go_on(document, partial(document.begin, text))

    def _go_on(self, document: _Document, step: Callable[[], list[Request]]) -> None:
        """Take a document one step further; what is wrong with it is its outcome."""
        if document.outcome is not None:
            return
        try:
            self._next += [(document, request) for request in step()]
        except SmolforgeError as error:
            document.outcome = error

    def _finished(self) -> Iterator[Summary | SmolforgeError]:
        while self._open and self._open[0].outcome is not None:
            outcome = self._open.popleft().outcome
            assert outcome is not None
            yield outcome
