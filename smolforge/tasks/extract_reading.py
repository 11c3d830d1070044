"""From the answers about a text's sections to what the text says.

Input: a text, its sections and the engine's answers. Output: ``Found``, or the error that stands in its way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from smolforge.errors import DataError, SmolforgeError
from smolforge.tasks.merge_sections import Part, merge, most_sourced
from smolforge.tasks.results import Cost, Progress
from smolforge.tasks.schema_forms import Form
from smolforge.tasks.sections import Section
from smolforge.tasks.source_spans import Field, locate

if TYPE_CHECKING:
    from smolforge.engine.answer import Answer, AnswerStream


@dataclass(frozen=True)
class Found:
    """A value that fits the schema, where its leaves stand, what was thought, and what it cost."""

    value: Any
    fields: tuple[Field, ...]
    reasoning: tuple[str, ...]
    sections: int
    cost: Cost


class Asks(Protocol):
    """Whoever asked, for what turns up on the way."""

    def again(self, text: str) -> Answer | None:
        """Ask once more about a section whose answer did not come to an end; None where that is of no use."""

    def fits(self, text: str) -> bool:
        """Whether JSON text fits the schema as it was given."""


class Reading:
    """One text whose answers are gathered."""

    def __init__(
        self, form: Form, sections: Sequence[Section], asker: Asks, error: SmolforgeError | None = None
    ) -> None:
        self._form, self._sections, self._asker, self._error = form, sections, asker, error
        self._answers: list[Answer | None] = []
        self._cost = Cost()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return len(self._answers) == len(self._sections)

    def take(self, stream: AnswerStream, progress: Progress | None = None) -> None:
        """Wait for the answer about the next section; say before and after how many are there."""
        if progress is not None and not self._answers:
            progress(0, len(self._sections))
        answer = None
        try:
            answer = stream.answer()
            self._cost += Cost.of(answer)
            if answer.finish == "length" and (second := self._asker.again(self._sections[len(self._answers)].text)):
                answer = second
                self._cost += Cost.of(answer)
        except SmolforgeError as error:
            self._error = self._error or error
        self._answers.append(answer)
        if progress is not None:
            progress(len(self._answers), len(self._sections))

    def outcome(self) -> Found | SmolforgeError:
        """Return what was found, or what is wrong."""
        if self._error is not None:
            return self._error
        try:
            return self._found([answer for answer in self._answers if answer is not None])
        except SmolforgeError as error:
            return error

    def _found(self, answers: Sequence[Answer]) -> Found:
        parts = [self._part(section, answer) for section, answer in zip(self._sections, answers, strict=True)]
        whole = self._whole(parts)
        reasoning = tuple(answer.reasoning for answer in answers if answer.reasoning)
        return Found(whole.value, whole.fields, reasoning, len(parts), self._cost)

    def _part(self, section: Section, answer: Answer) -> Part:
        if answer.finish == "length":
            raise DataError(
                f"the answer was cut off after {len(answer.tokens)} tokens: bound the schema's texts and lists "
                "(maxLength, maxItems), or allow more tokens"
            )
        if answer.finish != "stop":
            raise DataError(f"no answer: {'out of time' if answer.finish == 'timeout' else answer.finish}")
        value = answer.json()
        fields = (_moved(field, section.start) for field in locate(value, section.text))
        return Part(value, tuple(fields))

    def _whole(self, parts: Sequence[Part]) -> Part:
        """Put the parts together; where that does not fit the schema, the part that says most stands alone."""
        merged = merge(parts, self._form.shown)
        if len(parts) == 1 and merged.value == parts[0].value:
            return parts[0]
        return merged if self._asker.fits(json.dumps(merged.value, ensure_ascii=False)) else most_sourced(parts)


def _moved(field: Field, by: int) -> Field:
    if field.start is None or field.end is None:
        return field
    return replace(field, start=field.start + by, end=field.end + by)
