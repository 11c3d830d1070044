"""Extraction: a text and a schema in, a value that fits the schema out, and where in the text each part of it stands.

Input: an engine, texts of any length, a schema in any spelling (``schema_forms``). Output: ``Extraction``. The answer
is written under a grammar, so it always fits; fields marked as spans can only be pieces of the text. A long text is
read in sections, all at once, and what they say is put together (``merge_sections``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from smolforge.errors import ConfigError, SmolforgeError, nearest
from smolforge.tasks.extract_asking import MAX_TOKENS, Asker
from smolforge.tasks.extract_reading import Found
from smolforge.tasks.results import Cost, Progress
from smolforge.tasks.schema_forms import Form, Schema, read_form
from smolforge.tasks.source_spans import Field

if TYPE_CHECKING:
    from smolforge.engine.answer import AnswerStream
    from smolforge.engine.engine import Engine


class Options(TypedDict, total=False):
    """How to extract; all of it is optional.

    ``instruction`` replaces the words before the schema. ``think`` (False): reason first, at most ``thinking_budget``
    tokens (half of ``max_tokens``). ``max_tokens`` (1,024) bounds each answer, ``section_tokens`` (1,536, or what the
    context has room for) the parts that a longer text is read in. ``timeout``: seconds for each part.
    """

    instruction: str | None
    think: bool
    thinking_budget: int | None
    max_tokens: int
    section_tokens: int | None
    timeout: float | None


@dataclass(frozen=True)
class Extraction:
    """What was found. ``value`` fits the schema; ``object`` is the same as an instance of the Pydantic model, where
    that was the schema. ``fields`` say where each leaf stands in the text; ``sections``: in how many parts it was read;
    ``reasoning``: what was thought before each part's answer."""

    value: Any
    object: Any
    fields: tuple[Field, ...]
    reasoning: tuple[str, ...]
    sections: int
    cost: Cost

    def sources(self) -> list[dict[str, Any]]:
        """Return the fields as JSON values: path, value, start, end, inferred."""
        return [{**asdict(field), "inferred": field.inferred} for field in self.fields]

    def json(self) -> dict[str, Any]:
        """Return all of it as one JSON value."""
        facts = {"value": self.value, "sources": self.sources(), "sections": self.sections}
        return {**facts, "reasoning": list(self.reasoning), **self.cost.json()}


def extract(
    engine: Engine, text: str, schema: Schema, *, progress: Progress | None = None, **options: Unpack[Options]
) -> Extraction:
    """Return what ``text`` holds of ``schema``; errors as ``extract_batch``.

    ``progress`` is called with sections done and sections in all, first when they are known.
    """
    (found,) = _each(engine, [text], schema, progress, options)
    return _unless_error(found)


def extract_batch(engine: Engine, texts: Iterable[str], schema: Schema, **options: Unpack[Options]) -> list[Extraction]:
    """Extract from many texts together; results in their order.

    ConfigError for a schema that is wrong or not supported, or for ``think`` with a model that has no think mode;
    DataError for an empty text, an answer that was cut off, or one that breaks a rule of the Pydantic model's own.
    """
    return [_unless_error(found) for found in extract_each(engine, texts, schema, **options)]


def extract_each(
    engine: Engine, texts: Iterable[str], schema: Schema, **options: Unpack[Options]
) -> Iterator[Extraction | SmolforgeError]:
    """As ``extract_batch``, one after the other; what is wrong with one text is yielded in its place, not raised."""
    return _each(engine, texts, schema, None, options)


def _each(
    engine: Engine, texts: Iterable[str], schema: Schema, progress: Progress | None, options: Options
) -> Iterator[Extraction | SmolforgeError]:
    for name in options:
        if name not in Options.__annotations__:
            raise ConfigError(f"unknown option '{name}'{nearest(name, Options.__annotations__)}")
    form = read_form(schema)
    asker = Asker(
        engine, form, options.get("instruction"), options.get("max_tokens", MAX_TOKENS), options.get("section_tokens"),
        think=options.get("think", False), thinking_budget=options.get("thinking_budget"),
        timeout=options.get("timeout"),
    )  # fmt: skip
    found = _in_order(asker, engine.streams(asker.requests(texts)), progress)
    return (_extraction(one, form) for one in found)


def _extraction(found: Found | SmolforgeError, form: Form) -> Extraction | SmolforgeError:
    if isinstance(found, SmolforgeError):
        return found
    try:
        made = form.object(found.value)
    except SmolforgeError as error:
        return error
    return Extraction(found.value, made, found.fields, found.reasoning, found.sections, found.cost)


def _unless_error(found: Extraction | SmolforgeError) -> Extraction:
    if isinstance(found, SmolforgeError):
        raise found
    return found


def _in_order(
    asker: Asker, streams: Iterator[AnswerStream], progress: Progress | None
) -> Iterator[Found | SmolforgeError]:
    """Gather the answers to each text's sections and yield what they make together."""
    waiting = asker.waiting
    for stream in streams:
        while waiting[0].complete:
            yield waiting.popleft().outcome()
        waiting[0].take(stream, progress)
    while waiting:
        yield waiting.popleft().outcome()
