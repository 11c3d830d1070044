"""What a form may look like before a grammar is made of it: sizes and depths that are known to be harmless.

Input: a schema, pattern, list or grammar from outside. Output: the text the grammar is made of. The grammar library has
limits of its own for the work a form causes; these here keep it from forms that it takes minutes or a stack for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from smolforge.errors import ConfigError

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

Whitespace = Literal["compact", "spaced", "flexible"]

MAX_SCHEMA_BYTES = 128 << 10
MAX_SCHEMA_DEPTH = 64
MAX_REFERENCES = 256  # a chain of 5,000 overflows the stack
MAX_CHOICES = 1000  # values of one form together; the time grows with the square
MAX_PATTERN = 8192  # characters of a regular expression, and of a Lark grammar
MAX_RULES = 256
_OPTIONS: dict[Whitespace, JsonCompileOptions] = {
    "compact": {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"},
    "spaced": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},
    "flexible": {"whitespace_flexible": True},
}


def checked_schema(form: Any, whitespace: Whitespace) -> tuple[str, JsonCompileOptions]:
    """Return a JSON schema (a mapping, True, or JSON text) as text, and how whitespace is written."""
    if whitespace not in _OPTIONS:
        raise ConfigError(f"whitespace is {whitespace!r}, expected one of {', '.join(_OPTIONS)}")
    try:
        value = json.loads(form) if isinstance(form, str) else form
        text = json.dumps({} if value is True else value, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ConfigError(f"schema: nested deeper than {MAX_SCHEMA_DEPTH} levels") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"schema: not JSON ({error})") from None
    if not (value is True or isinstance(value, Mapping)):
        raise ConfigError(f"schema: expected an object, got {text[:40]}")
    _limit("schema", "bytes", len(text.encode()), MAX_SCHEMA_BYTES)
    _check_size(value)
    return text, _OPTIONS[whitespace]


def _check_size(schema: Any) -> None:
    references = choices = 0
    for depth, value in _walk(schema):
        _limit("schema", "levels", depth, MAX_SCHEMA_DEPTH)
        if isinstance(value, Mapping):
            references += "$ref" in value
            listed, pattern = value.get("enum"), value.get("pattern")
            choices += len(listed) if isinstance(listed, list) else 0
            _limit("schema", "characters in a pattern", len(pattern) if isinstance(pattern, str) else 0, MAX_PATTERN)
    _limit("schema", "references", references, MAX_REFERENCES)
    _limit("schema", "enum values", choices, MAX_CHOICES)


def _walk(schema: Any) -> Iterator[tuple[int, Any]]:
    """Yield every value of a JSON document with its depth, without recursion."""
    waiting = [(1, schema)]
    while waiting:
        depth, value = waiting.pop()
        yield depth, value
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        waiting += [(depth + 1, child) for child in inner]


def checked_regex(form: Any) -> str:
    """Return a regular expression (Rust ``regex`` syntax: no look-around, no back references)."""
    if not isinstance(form, str) or not form:
        raise ConfigError("regex: expected a pattern that is not empty")
    _limit("regex", "characters", len(form), MAX_PATTERN)
    return form


def checked_choices(form: Any) -> str:
    """Return a Lark grammar of a list of strings."""
    choices = list(form) if isinstance(form, list | tuple) else []
    if not choices or not all(isinstance(choice, str) and choice for choice in choices):
        raise ConfigError("choices: expected a list of strings that are not empty")
    _limit("choices", "strings", len(choices), MAX_CHOICES)
    _limit("choices", "bytes", sum(len(choice.encode()) for choice in choices), MAX_SCHEMA_BYTES)
    return "start: " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in dict.fromkeys(choices))


def checked_lark(form: Any) -> str:
    """Return a Lark grammar (``llguidance``'s dialect; its rule ``start`` is the answer)."""
    if not isinstance(form, str) or not form:
        raise ConfigError("lark: expected a grammar that is not empty")
    _limit("lark", "characters", len(form), MAX_PATTERN)
    _limit("lark", "rules", sum(":" in line for line in form.splitlines()), MAX_RULES)
    _limit("lark", "references", form.count("$ref"), MAX_REFERENCES)
    return form


def _limit(form: str, what: str, size: int, limit: int) -> None:
    if size > limit:
        raise ConfigError(f"{form}: {size:,} {what}, the limit is {limit:,}")
