"""Whether a JSON value fits a JSON schema (draft 2020-12), for what tools and formats state.

Input: a value and a schema. Output: problems, each with its place. A keyword that is neither checked here nor an
annotation is a ConfigError: nothing passes because nobody looked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from smolforge.errors import ConfigError, nearest

_ANNOTATIONS = frozenset({
    "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated",
    "readOnly", "writeOnly", "format",
})  # fmt: skip
_KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
}
_MAX_DEPTH = 100


def problems(value: Any, schema: Any) -> list[str]:
    """Return what is wrong with a value, "place: what was expected"; empty where it fits."""
    return list(_Checker(schema).check(value, schema, "answer", 0))


class _Checker:
    """Knows the whole schema, for references into it."""

    def __init__(self, root: Any) -> None:
        self.root = root

    def check(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if schema is True or schema == {}:
            return
        if schema is False:
            yield f"{place}: nothing is allowed here"
            return
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            raise ConfigError(f"JSON schema at {place}: expected an object or a boolean, at most {_MAX_DEPTH} deep")
        for keyword, wanted in schema.items():
            if keyword in _RULES:
                yield from _RULES[keyword](value, wanted, place)
            elif keyword in _INNER:
                yield from _INNER[keyword](self, value, schema, place, depth + 1)
            elif keyword not in _ANNOTATIONS and not keyword.startswith("x-"):
                known = [*_RULES, *_INNER]
                raise ConfigError(f"JSON schema: '{keyword}' is not supported{nearest(keyword, known)}")

    def fits(self, value: Any, schema: Any, depth: int) -> bool:
        return next(self.check(value, schema, "", depth), None) is None

    def reference(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        target, path = self.root, str(schema["$ref"])
        for part in path.removeprefix("#").split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            if not path.startswith("#") or not isinstance(target, Mapping) or part not in target:
                raise ConfigError(f"JSON schema: nothing stands at {path}; references stay inside the schema")
            target = target[part]
        yield from self.check(value, target, place, depth)

    def properties(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in schema["properties"].items():
                if name in value:
                    yield from self.check(value[name], inner, f"{place}.{name}", depth)

    def additional(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if not isinstance(value, dict):
            return
        patterns = [re.compile(pattern) for pattern in schema.get("patternProperties", {})]
        for name in value:
            if name not in schema.get("properties", {}) and not any(p.search(name) for p in patterns):
                if schema["additionalProperties"] is False:
                    yield f"{place}: no property is called {name!r}{nearest(name, schema.get('properties', {}))}"
                else:
                    yield from self.check(value[name], schema["additionalProperties"], f"{place}.{name}", depth)

    def patterned(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if isinstance(value, dict):
            for pattern, inner in schema["patternProperties"].items():
                for name in value:
                    if re.search(pattern, name):
                        yield from self.check(value[name], inner, f"{place}.{name}", depth)

    def items(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if isinstance(value, list):
            first = len(schema.get("prefixItems", ()))
            for number, item in enumerate(value[first:], first):
                yield from self.check(item, schema["items"], f"{place}[{number}]", depth)

    def prefix(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if isinstance(value, list):
            for number, (item, inner) in enumerate(zip(value, schema["prefixItems"], strict=False)):
                yield from self.check(item, inner, f"{place}[{number}]", depth)

    def any_of(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if not any(self.fits(value, option, depth) for option in schema["anyOf"]):
            yield f"{place}: {_short(value)} fits none of {len(schema['anyOf'])} forms"

    def one_of(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        fitting = sum(self.fits(value, option, depth) for option in schema["oneOf"])
        if fitting != 1:
            yield f"{place}: {_short(value)} fits {fitting} of {len(schema['oneOf'])} forms, expected one"

    def all_of(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        for option in schema["allOf"]:
            yield from self.check(value, option, place, depth)

    def no(self, value: Any, schema: Any, place: str, depth: int) -> Iterator[str]:
        if self.fits(value, schema["not"], depth):
            yield f"{place}: {_short(value)} has the form that is excluded"


_INNER = {
    "$ref": _Checker.reference, "properties": _Checker.properties, "additionalProperties": _Checker.additional,
    "patternProperties": _Checker.patterned, "items": _Checker.items, "prefixItems": _Checker.prefix,
    "anyOf": _Checker.any_of, "oneOf": _Checker.one_of, "allOf": _Checker.all_of, "not": _Checker.no,
}  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _canonical(value: Any) -> Any:
    """Return a form in which equal JSON values are equal: 1 and 1.0 are, true and 1 are not."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, list):
        return ("array", tuple(map(_canonical, value)))
    if isinstance(value, dict):
        return ("object", tuple(sorted((name, _canonical(inner)) for name, inner in value.items())))
    return ("number", value)


def _type(value: Any, wanted: Any, place: str) -> Iterator[str]:
    kinds = [wanted] if isinstance(wanted, str) else list(wanted)
    for kind in kinds:
        if kind not in _KINDS:
            raise ConfigError(f"JSON schema: there is no type {kind!r}{nearest(str(kind), _KINDS)}")
    if not any(_KINDS[kind](value) for kind in kinds):
        yield f"{place}: expected {' or '.join(kinds)}, found {_short(value)}"


def _enum(value: Any, wanted: Any, place: str) -> Iterator[str]:
    if _canonical(value) not in [_canonical(option) for option in wanted]:
        yield f"{place}: {_short(value)} is none of {_short(list(wanted))}"


def _const(value: Any, wanted: Any, place: str) -> Iterator[str]:
    if _canonical(value) != _canonical(wanted):
        yield f"{place}: expected {_short(wanted)}, found {_short(value)}"


def _required(value: Any, wanted: Any, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{place}: '{name}' is missing" for name in wanted if name not in value)


def _unique(value: Any, wanted: Any, place: str) -> Iterator[str]:
    if wanted and isinstance(value, list) and len({_canonical(item) for item in value}) < len(value):
        yield f"{place}: an item stands there twice"


def _pattern(value: Any, wanted: Any, place: str) -> Iterator[str]:
    if isinstance(value, str) and not re.search(wanted, value):
        yield f"{place}: {_short(value)} does not match {wanted}"


def _multiple(value: Any, wanted: Any, place: str) -> Iterator[str]:
    if _is_number(value) and abs(value / wanted - round(value / wanted)) > 1e-9:
        yield f"{place}: {value} is no multiple of {wanted}"


def _bound(holds: Callable[[Any, Any], bool], words: str) -> Callable[[Any, Any, str], Iterator[str]]:
    def check(value: Any, wanted: Any, place: str) -> Iterator[str]:
        if _is_number(value) and not holds(value, wanted):
            yield f"{place}: {value} is not {words} {wanted}"

    return check


def _size(kind: type, least: bool, unit: str) -> Callable[[Any, Any, str], Iterator[str]]:
    def check(value: Any, wanted: Any, place: str) -> Iterator[str]:
        if isinstance(value, kind) and (len(value) < wanted if least else len(value) > wanted):  # type: ignore[arg-type]
            yield f"{place}: {len(value)} {unit}, expected at {'least' if least else 'most'} {wanted}"  # type: ignore[arg-type]

    return check


_RULES: dict[str, Callable[[Any, Any, str], Iterator[str]]] = {
    "type": _type, "enum": _enum, "const": _const, "required": _required, "uniqueItems": _unique, "pattern": _pattern,
    "multipleOf": _multiple,
    "minimum": _bound(lambda a, b: a >= b, "at least"), "maximum": _bound(lambda a, b: a <= b, "at most"),
    "exclusiveMinimum": _bound(lambda a, b: a > b, "more than"),
    "exclusiveMaximum": _bound(lambda a, b: a < b, "less than"),
    "minLength": _size(str, True, "characters"), "maxLength": _size(str, False, "characters"),
    "minItems": _size(list, True, "items"), "maxItems": _size(list, False, "items"),
    "minProperties": _size(dict, True, "properties"), "maxProperties": _size(dict, False, "properties"),
}  # fmt: skip
