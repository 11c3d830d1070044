"""What an answer may be, however a person says it: one JSON schema, and which of its strings are spans of the text.

Input: a JSON schema (mapping, JSON text or file), a Pydantic model, or the short form. Output: a ``Form``.

The short form is that of simonw's `llm`, with spans: fields by commas or lines, each ``name``, ``name type`` or
``name: what it means``; types are str (assumed), int, float and bool, ``[str]`` or ``str[]`` for a list: ``name, age
int, tags [str]: topics``. A span can only be a piece of the text that is read, or a number that stands in it: ``name
span, age int span, tags [span]``. A schema marks it by ``"x-span": true``, a Pydantic model by ``Span`` (a string) or
``Annotated[int, SpanMark()]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from smolforge.engine.schema_checks import SPAN, TIGHT, can_copy, canonical
from smolforge.errors import ConfigError, DataError, nearest

TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "span": {"type": "string", SPAN: True},
}
_FIELD = re.compile(
    r"(?P<name>\w+)(?:\s+(?:(?P<type>\w+)(?P<list>\[\])?|\[(?P<item>\w+)\])(?P<span>\s+span)?)?\s*(?::\s*(?P<text>.*\S))?\s*",
    re.DOTALL,
)


class SpanMark:
    """Makes a string or number of a Pydantic model a span: ``Annotated[int, SpanMark()]``."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core), SPAN: True}


Span = Annotated[str, SpanMark()]
Schema = Mapping[str, Any] | str | Path | type[Any]  # a type: a Pydantic model


@dataclass(frozen=True)
class Form:
    """What answers are held to. ``shown`` is the schema as it was given; ``schema`` the one that is enforced: objects
    without further keys, strings, lists and numbers bounded; ``tight`` the same with narrower bounds where the given
    one has none. ``model``: the Pydantic model it came from."""

    shown: dict[str, Any]
    schema: dict[str, Any]
    tight: dict[str, Any]
    model: type[Any] | None = None

    def object(self, value: Any) -> Any:
        """Return the value as the person asked for it: an instance of the model, or as it is.

        DataError where the model has rules of its own that the value breaks.
        """
        if self.model is None:
            return value
        try:
            return self.model.model_validate(value)
        except ValueError as error:
            raise DataError(f"{self.model.__name__}: {' '.join(str(error).split())}") from None


def read_form(schema: Schema) -> Form:
    """Return the form of a schema in any of its spellings; ConfigError names what is wrong or not supported."""
    shown = _model_schema(schema) if isinstance(schema, type) else read_schema(schema)
    return Form(shown, canonical(shown), canonical(shown, TIGHT), schema if isinstance(schema, type) else None)


def _model_schema(model: type[Any]) -> dict[str, Any]:
    from pydantic.errors import PydanticUserError

    if not hasattr(model, "model_json_schema"):
        raise ConfigError(f"schema: {model.__name__} is not a Pydantic model")
    try:
        return dict(model.model_json_schema())
    except PydanticUserError as error:
        raise ConfigError(f"schema: {model.__name__}: {str(error).splitlines()[0]}") from None


def read_schema(schema: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """Return the JSON schema that is given, named the file of, or written short; ConfigError says what is wrong."""
    if isinstance(schema, Mapping):
        return dict(schema)
    text = str(schema).strip()
    if text.startswith("{"):
        return _parse(text, "schema")
    path = Path(schema)
    if isinstance(schema, Path) or path.suffix == ".json" or _is_file(path):
        try:
            return _parse(path.read_text(encoding="utf-8-sig"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return short_schema(text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a schema may be longer than a file's name
        return False


def short_schema(text: str) -> dict[str, Any]:
    """Return the schema of an object with the fields of the short form, all of them required."""
    parts = [part.strip() for part in text.split("\n" if "\n" in text else ",")]
    named = [_field(part) for part in parts if part]
    fields = dict(named)
    if not fields:
        raise ConfigError("schema: no field is named; expected e.g. 'name, age int' or a JSON schema")
    if len(fields) < len(named):
        raise ConfigError(f"schema: a field is named twice in {text!r}")
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _field(text: str) -> tuple[str, dict[str, Any]]:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ConfigError(f"schema: {text!r} is not a field; expected 'name', 'name type' or 'name type: description'")
    word = found["type"] or found["item"] or "str"
    if word not in TYPES:
        raise ConfigError(f"schema: {text!r}: no type '{word}'{nearest(word, TYPES)}; there are {', '.join(TYPES)}")
    kind = dict(TYPES[word]) | ({SPAN: True} if found["span"] else {})
    if found["span"] and not can_copy(kind):
        raise ConfigError(f"schema: {text!r}: only text and numbers can be spans")
    kind = {"type": "array", "items": kind} if found["list"] or found["item"] else kind
    return found["name"], kind | ({"description": found["text"]} if found["text"] else {})


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: a schema is a JSON object, this is {type(found).__name__}")
    return found
