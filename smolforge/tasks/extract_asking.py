"""From texts and a form to requests: the prompt, the sections of a long text, and the grammar of each answer.

Input: an engine, a ``Form``, texts. Output: requests in order, and for each text a ``Reading`` that waits for its
answers. Instruction and schema come first in the prompt, so that the engine reads them once for all texts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from smolforge.engine.constraint_forms import Whitespace
from smolforge.errors import ConfigError, DataError, SmolforgeError
from smolforge.tasks.extract_reading import Reading
from smolforge.tasks.schema_forms import Form
from smolforge.tasks.schema_sketch import meanings, sketch
from smolforge.tasks.sections import cut
from smolforge.tasks.span_grammar import has_spans, span_grammar

if TYPE_CHECKING:
    from smolforge.engine.answer import Answer
    from smolforge.engine.constraints import GrammarConstraint
    from smolforge.engine.engine import Engine
    from smolforge.generator import Request
    from smolforge.tokens.messages import Message

INSTRUCTION = (
    "Read the text and write the data it holds as one line of JSON of the shape below. "
    "Copy names, places and numbers exactly as they stand in the text."
)
EXAMPLE = (
    "The ferry Blue Heron was built in 1987 by Larsen Yards and carries 240 passengers.",
    '{"ship": "Blue Heron", "built": 1987, "passengers": 240}',
)
WHITESPACE: Whitespace = "spaced"  # as most JSON that models have read; compact costs a small one accuracy
MAX_TOKENS = 1024  # of one answer
SECTION_TOKENS = 1536  # of a text that is read at once, where the context has room for it
_LEAST_SECTION = 32
_OVERLAP = 8  # a section begins this part of its length before the one in front of it ends
_PATIENCE = 20  # a span grammar's work grows with its text, which a section bounds


def start_of_prompt(form: Form, instruction: str | None = None, *, think: bool = False) -> list[Message]:
    """Return the messages before the text: what to do, what the fields mean, the shape of the answer, an example.

    The example has fields of its own, whatever the form: it shows a small model what copying is (docs/lab.md has what
    it brings). A model that is to think first gets none, for the example does not think.
    """
    words = f"{instruction or INSTRUCTION}\n{meanings(form.shown)}{sketch(form.shown)}"
    example: list[Message] = [{"role": "user", "content": EXAMPLE[0]}, {"role": "assistant", "content": EXAMPLE[1]}]
    return [{"role": "system", "content": words}, *([] if think else example)]


class Asker:
    """Makes the requests of many texts. ``waiting``: a reading for each text whose requests were made."""

    def __init__(
        self, engine: Engine, form: Form, instruction: str | None, max_tokens: int, section_tokens: int | None, *,
        think: bool, thinking_budget: int | None, timeout: float | None,
    ) -> None:  # fmt: skip
        self._engine, self._form = engine, form
        self._start = start_of_prompt(form, instruction, think=think)
        self._spans = has_spans(form.schema, form.schema)
        budget = thinking_budget if thinking_budget is not None or not think else max_tokens // 2
        self._options: dict[str, Any] = {
            "max_tokens": max_tokens, "think": think, "thinking_budget": budget, "timeout": timeout,
        }  # fmt: skip
        self._section = self._section_tokens(max_tokens, section_tokens)
        self._request("x", form.schema)  # what is not supported is refused before anything is asked
        self.waiting: deque[Reading] = deque()

    def requests(self, texts: Iterable[str]) -> Iterator[Request]:
        """Yield the requests of every text in turn."""
        for text in texts:
            try:
                sections = cut(text, self._engine.codec, self._section, self._section // _OVERLAP)
                if not sections:
                    raise DataError("the text is empty")
                made = [self._request(section.text, self._form.schema) for section in sections]
            except SmolforgeError as error:
                self.waiting.append(Reading(self._form, [], self, error))
                continue
            self.waiting.append(Reading(self._form, sections, self))
            yield from made

    def again(self, text: str) -> Answer | None:
        """Ask once more within narrower bounds, where an answer did not end; None where they are the same."""
        if self._form.tight == self._form.schema:
            return None
        (stream,) = self._engine.streams([self._request(text, self._form.tight)])
        return stream.answer()

    def fits(self, text: str) -> bool:
        """Whether JSON text fits the schema as it was given."""
        from smolforge.engine.constraints import build

        engine = self._engine
        check = build(engine.table, engine.model.stop, "schema", self._form.shown, whitespace=WHITESPACE)
        tokens = engine.codec.encode_text([text])[0]
        return check.accepted(tokens) == len(tokens)

    def _section_tokens(self, max_tokens: int, wanted: int | None) -> int:
        """Return how many tokens of a text one request may hold."""
        mode = "think" if self._options["think"] else "no_think"
        around = len(self._engine.codec.prompt([*self._start, {"role": "user", "content": ""}], mode))
        room = self._engine.context - around - max_tokens - 8  # where text and template meet, tokens may be cut anew
        if room < max(_LEAST_SECTION, wanted or 0):
            raise ConfigError(
                f"instruction and schema take {around} tokens and an answer up to {max_tokens}: of "
                f"{self._engine.context} positions {max(0, room)} are left for a section of text; give a shorter "
                "schema, or fewer max_tokens"
            )
        return min(wanted or SECTION_TOKENS, room)

    def _request(self, text: str, schema: dict[str, Any]) -> Request:
        messages: list[Message] = [*self._start, {"role": "user", "content": text}]
        return self._engine.request(messages, constraint=self._constraint(text, schema), **self._options)

    def _constraint(self, text: str, schema: dict[str, Any]) -> GrammarConstraint:
        from llguidance import LLMatcher

        from smolforge.engine.constraints import build, of_grammar

        engine = self._engine
        if not self._spans:
            return build(engine.table, engine.model.stop, "schema", schema, whitespace=WHITESPACE)
        grammar = LLMatcher.grammar_from_lark(span_grammar(schema, text, WHITESPACE))
        return of_grammar(engine.table, engine.model.stop, grammar, "schema", patience=_PATIENCE)
