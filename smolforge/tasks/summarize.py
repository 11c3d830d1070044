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
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from smolforge.errors import ConfigError, DataError, SmolforgeError, nearest
from smolforge.tasks.results import Cost, Progress
from smolforge.tasks.sections import Section, cut
from smolforge.tasks.summarize_asking import Asker

if TYPE_CHECKING:
    from smolforge.engine.answer import AnswerStream
    from smolforge.engine.engine import Engine
    from smolforge.generator import Request


class Options(TypedDict, total=False):
    """How to summarize; all of it is optional.

    At most so many ``words`` (100, where no other bound is given), ``sentences`` and ``tokens``. ``language``: that of
    the summary, a code of ``summarize_asking.LANGUAGES`` (None: the text's own). ``focus``: what matters to the reader.
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


def summarize(engine: Engine, text: str, *, progress: Progress | None = None, **options: Unpack[Options]) -> Summary:
    """Summarize a text; errors as ``summarize_batch``.

    ``progress`` is called with sections read and sections in all, first when they are known.
    """
    (made,) = _each(engine, [text], progress, options)
    return _unless_error(made)


def summarize_batch(engine: Engine, texts: Iterable[str], **options: Unpack[Options]) -> list[Summary]:
    """Summarize many texts together; results in their order.

    ConfigError for an option that is wrong, or for ``think`` with a model that has no think mode; DataError for an
    empty text, one that cannot be encoded, and a model that says nothing.
    """
    return [_unless_error(made) for made in summarize_each(engine, texts, **options)]


def summarize_each(
    engine: Engine, texts: Iterable[str], **options: Unpack[Options]
) -> Iterator[Summary | SmolforgeError]:
    """As ``summarize_batch``, one after the other; what is wrong with one text is yielded in its place, not raised."""
    return _each(engine, texts, None, options)


def _unless_error(made: Summary | SmolforgeError) -> Summary:
    if isinstance(made, SmolforgeError):
        raise made
    return made


def _each(
    engine: Engine, texts: Iterable[str], progress: Progress | None, options: Options
) -> Iterator[Summary | SmolforgeError]:
    for name in options:
        if name not in Options.__annotations__:
            raise ConfigError(f"unknown option '{name}'{nearest(name, Options.__annotations__)}")
    return _Reader(Asker(engine, options), progress).each(texts)


class _Document:
    """One text on its way to a summary, round by round."""

    def __init__(self, asker: Asker, progress: Progress | None) -> None:
        self.outcome: Summary | SmolforgeError | None = None
        self._asker, self._progress = asker, progress
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
        self._tell(0)
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
            self._tell(1)
            self.outcome = Summary(text, self._parts, self._cost)
            return []
        self._said.append(text)
        self._tell(len(self._said))
        if len(self._said) < len(self._reading):
            return []
        said = zip(self._reading, self._said, strict=True)
        self._parts = self._parts or tuple(Part(section.start, section.end, text) for section, text in said)
        return self.begin("\n\n".join(text for text in self._said if text))

    def _tell(self, done: int) -> None:
        """Say how many sections of the text itself are read; their summaries are short."""
        if self._progress is not None and not self._parts:
            self._progress(done, len(self._reading))


class _Reader:
    """Keeps the engine busy with many documents, whose later requests depend on the answers to earlier ones."""

    def __init__(self, asker: Asker, progress: Progress | None) -> None:
        self._asker, self._progress = asker, progress
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
            document = _Document(self._asker, self._progress)
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
