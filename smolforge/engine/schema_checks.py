"""Which JSON Schema can be enforced, and the schema that is.

Input: a JSON schema (draft 2020-12). Output: the canonical one: every keyword known, objects closed, lists, strings and
numbers bounded so that a small model cannot repeat itself for ever, spans marked on strings and numbers alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smolforge.engine.constraint_forms import checked_schema
from smolforge.errors import ConfigError, nearest

SPAN = "x-span"
MAX_FORMATTED = 100  # characters of a date, an address or whatever else has a format
MAX_NUMBER = 10**15  # of a number whose schema sets no bound: what a float still holds exactly
DECIMALS = 1e-6  # a number's smallest step, where its bounds are not nearly as near to each other

ENFORCED = frozenset({
    "$ref", "$defs", "definitions", "anyOf", "oneOf", "allOf", "const", "enum", "type",
    "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties",
    "items", "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
})  # fmt: skip
ANNOTATIONS = frozenset({
    "$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "discriminator",
})  # fmt: skip
UNSUPPORTED = frozenset({
    "not", "if", "then", "else", "contains", "minContains", "maxContains", "uniqueItems", "additionalItems",
    "unevaluatedItems", "unevaluatedProperties", "propertyNames", "dependentRequired", "dependentSchemas",
    "dependencies", "contentEncoding", "contentMediaType", "contentSchema", "$anchor", "$dynamicRef", "$dynamicAnchor",
    "$recursiveRef", "$recursiveAnchor", "$vocabulary", "nullable", "x-guidance",
})  # fmt: skip
BESIDE_SPAN = frozenset({"type", "minLength", "maxLength", "minimum", "maximum", SPAN})
# What a keyword's value must be → the keywords.
_VALUES: dict[str, frozenset[str]] = {
    "a whole number from 0": frozenset({
        "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties",
    }),
    "a number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "a text": frozenset({"pattern", "format", "$ref"}),
    "a text or a list of texts": frozenset({"type"}),
    "a list of texts": frozenset({"required"}),
    "a list": frozenset({"enum"}),
    "true or false": frozenset({SPAN}),
}  # fmt: skip
_HOLDS: dict[str, Callable[[Any], bool]] = {
    "a whole number from 0": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "a number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "a text": lambda value: isinstance(value, str),
    "a text or a list of texts": lambda value: isinstance(value, str) or _texts(value),
    "a list of texts": lambda value: _texts(value),
    "a list": lambda value: isinstance(value, list),
    "true or false": lambda value: isinstance(value, bool),
}
_KEY = "^.{1,60}$"  # keys of an object that names none
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_SINGLE = ("items", "additionalProperties")


@dataclass(frozen=True)
class Bounds:
    """What a list may hold at most, and a string in characters, where their schema sets no bound."""

    items: int
    length: int


USUAL = Bounds(32, 400)
TIGHT = Bounds(8, 48)  # for a second try, where the model did not come to an end


def canonical(schema: Mapping[str, Any] | str | bool, bounds: Bounds = USUAL) -> dict[str, Any]:
    """Return the schema (a mapping, True, or JSON text) that is enforced; ConfigError names a keyword that cannot be,
    and where it stands."""
    text, _ = checked_schema(schema, "compact")  # its size and depth: what follows recurses
    given: dict[str, Any] = json.loads(text)
    nodes = list(walk(given))
    for where, node in nodes:
        _check(where, node)
        if "$ref" in node:
            target(given, str(node["$ref"]))
    merging = any("allOf" in node or ("properties" in node and _refers(node)) for _, node in nodes)
    made = _canonical(given, not merging, bounds)
    assert isinstance(made, dict)
    return made


def walk(schema: Any, where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every subschema that is not true or false, with its JSON pointer; ConfigError for what is no schema."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ConfigError(f"schema at {where or '/'}: expected a schema (an object), got {str(schema)[:40]!r}")
    yield where, schema
    for name in _LISTS:
        for i, inner in enumerate(_expect(schema, name, list, where)):
            yield from walk(inner, f"{where}/{name}/{i}")
    for name in _MAPS:
        for key, inner in _expect(schema, name, Mapping, where).items():
            yield from walk(inner, f"{where}/{name}/{key.replace('~', '~0').replace('/', '~1')}")
    for name in _SINGLE:
        if name in schema:
            yield from walk(schema[name], f"{where}/{name}")


def target(root: Mapping[str, Any], pointer: str) -> Any:
    """Return what a reference points at; ConfigError where that is not a place in the same schema."""
    if not pointer.startswith("#"):
        raise ConfigError(f"schema: '$ref' to {pointer!r}: only places in the schema itself are supported")
    found: Any = root
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise ConfigError(f"schema: '$ref' to {pointer!r}, which is not in the schema")
    return found


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _expect(schema: Mapping[str, Any], name: str, kind: Any, where: str) -> Any:
    value = schema.get(name, kind() if kind is list else {})
    if not isinstance(value, kind):
        raise ConfigError(f"schema at {where}/{name}: expected {'a list' if kind is list else 'an object'}")
    return value


def _refers(node: Mapping[str, Any]) -> bool:
    return any(name in node for name in ("$ref", "anyOf", "oneOf"))


def _check(where: str, node: Mapping[str, Any]) -> None:
    for name in node:
        if name in UNSUPPORTED:
            raise ConfigError(
                f"schema: '{name}' at {where or '/'} is not supported; docs/reference/schemas.md says what is"
            )
        if name not in ENFORCED and name not in ANNOTATIONS and not name.startswith("x-"):
            raise ConfigError(f"schema: '{name}' at {where or '/'} is no keyword{nearest(name, ENFORCED)}")
        expected = next((words for words, names in _VALUES.items() if name in names), None)
        if expected is not None and not _HOLDS[expected](node[name]):
            raise ConfigError(f"schema: '{name}' at {where or '/'} is {str(node[name])[:40]!r}, expected {expected}")
    if isinstance(node.get("items"), list):
        raise ConfigError(f"schema: 'items' at {where or '/'} is a list; 'prefixItems' is what it is called now")
    for name in ("exclusiveMinimum", "exclusiveMaximum"):
        if isinstance(node.get(name), bool):
            raise ConfigError(f"schema: '{name}' at {where or '/'} is a number (draft 4 wrote true or false)")
    if node.get(SPAN):
        _check_span(where, node)


def _check_span(where: str, node: Mapping[str, Any]) -> None:
    """Refuse a span that is no string and no number, and bounds that cannot be held together with copying."""
    copied = _span_target(node)
    if copied is None:
        raise ConfigError(f"schema: '{SPAN}' at {where or '/'} belongs to a string, a number, or a list of them")
    for name in copied:
        if name in ENFORCED and name not in BESIDE_SPAN:
            raise ConfigError(f"schema: '{name}' at {where or '/'} is not supported beside '{SPAN}'")


def _span_target(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema that a mark on ``node`` means: itself, what may be null otherwise, a list's items."""
    if can_copy(node):
        return node
    options = node.get("anyOf")
    if isinstance(options, list):
        others = [option for option in options if option != {"type": "null"}]
        return others[0] if len(others) == 1 and isinstance(others[0], Mapping) and can_copy(others[0]) else None
    items = node.get("items")
    return items if isinstance(items, Mapping) and can_copy(items) else None


def can_copy(node: Mapping[str, Any]) -> bool:
    """Whether a schema is that of one string or number, which may be null."""
    kind = node.get("type")
    kinds = set(kind) - {"null"} if isinstance(kind, list) else {kind}
    return len(kinds) == 1 and kinds <= {"string", "integer", "number"}


def _canonical(schema: Any, close: bool, bounds: Bounds) -> Any:
    if isinstance(schema, bool):
        return schema
    marked = bool(schema.get(SPAN)) and not can_copy(schema)
    copied = _span_target(schema) if marked else None
    node = {name: value for name, value in schema.items() if name not in ANNOTATIONS and not name.startswith("x-")}
    for name in _LISTS:
        if name in node:
            node[name] = [_canonical(_marked(inner, copied), close, bounds) for inner in node[name]]
    for name in _MAPS:
        if name in node:
            node[name] = {key: _canonical(inner, close, bounds) for key, inner in node[name].items()}
    for name in _SINGLE:
        if name in node:
            node[name] = _canonical(_marked(node[name], copied), close, bounds)
    if close and "properties" in node and not _refers(node) and "patternProperties" not in node:
        node.setdefault("additionalProperties", False)
    if isinstance(node.get("items"), dict) and node["items"].keys() >= {"type", "maxLength"}:
        node["items"].setdefault(
            "minLength", min(1, node["items"]["maxLength"])
        )  # an empty text in a list says nothing
    _bound(node, bounds)
    return {**node, SPAN: True} if schema.get(SPAN) and not marked else node


def _marked(inner: Any, copied: Mapping[str, Any] | None) -> Any:
    return {**copied, SPAN: True} if copied is not None and inner is copied else inner


def _bound(node: dict[str, Any], bounds: Bounds) -> None:
    """Set the bounds that a schema leaves open."""
    kind = node.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    given = node.keys() & {"enum", "const"}
    if "string" in kinds and not node.keys() & {"maxLength", "pattern", "enum", "const"}:
        most = MAX_FORMATTED if "format" in node else bounds.length
        node["maxLength"] = max(most, node.get("minLength", 0))
    if "array" in kinds and not given:
        fixed = len(node.get("prefixItems", ()))
        if fixed:
            node.setdefault("items", False)
        node.setdefault("maxItems", max(bounds.items, node.get("minItems", 0), fixed))
    if "object" in kinds and not given and not node.keys() & {"properties", "patternProperties", "required"}:
        _bound_map(node, bounds)
    if ("integer" in kinds or "number" in kinds) and not given and "multipleOf" not in node:
        _bound_number(node, whole="number" not in kinds)


def _bound_map(node: dict[str, Any], bounds: Bounds) -> None:
    """Bound the keys of an object that names none."""
    values = node.get("additionalProperties", True)
    if values is not False:
        node.update(patternProperties={_KEY: values}, additionalProperties=False)
        node.setdefault("maxProperties", max(bounds.items, node.get("minProperties", 0)))


def _bound_number(node: dict[str, Any], whole: bool) -> None:
    least = max(node.get("minimum", -math.inf), node.get("exclusiveMinimum", -math.inf))
    most = min(node.get("maximum", math.inf), node.get("exclusiveMaximum", math.inf))
    if least == -math.inf:
        least = node["minimum"] = min(-MAX_NUMBER, most)
    if most == math.inf:
        most = node["maximum"] = max(MAX_NUMBER, least)
    if not whole and most - least > 1000 * DECIMALS:
        node["multipleOf"] = DECIMALS
