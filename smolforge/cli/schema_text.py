"""What an answer may be, as typed on a command line: a JSON schema in a file or in full, or its short form.

The short form is that of simonw's `llm`: fields by commas or lines, each ``name``, ``name type`` or ``name: what it
means``; types are str (assumed), int, float and bool, with ``[]`` for a list: ``name, age int, tags str[]: topics``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from smolforge.errors import ConfigError, nearest

TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_FIELD = re.compile(r"(?P<name>\w+)(?:\s+(?P<type>\w+)(?P<list>\[\])?)?\s*(?::\s*(?P<text>.*\S))?\s*", re.DOTALL)


def read_schema(text: str) -> dict[str, Any]:
    """Return the JSON schema that ``text`` is, names the file of, or is short for; ConfigError says what is wrong."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return _parse(stripped, "--schema")
    path = Path(text)
    if path.suffix == ".json" or (len(text) < 256 and path.is_file()):
        try:
            return _parse(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return short_schema(stripped)


def short_schema(text: str) -> dict[str, Any]:
    """Return the schema of an object with the fields of the short form, all of them required."""
    parts = [part.strip() for part in text.split("\n" if "\n" in text else ",")]
    fields = dict(_field(part) for part in parts if part)
    if not fields:
        raise ConfigError("--schema: no field is named; expected e.g. 'name, age int' or a JSON schema")
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _field(text: str) -> tuple[str, dict[str, Any]]:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"--schema: {text!r} is not a field; expected 'name', 'name type' or 'name type: description'"
        )
    word = found["type"] or "str"
    if word not in TYPES:
        raise ConfigError(f"--schema: {text!r}: no type '{word}'{nearest(word, TYPES)}; there are {', '.join(TYPES)}")
    kind: dict[str, Any] = {"type": TYPES[word]}
    kind = {"type": "array", "items": kind} if found["list"] else kind
    return found["name"], kind | ({"description": found["text"]} if found["text"] else {})


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: a schema is a JSON object, this is {type(found).__name__}")
    return found
