"""The grammar of JSON whose span fields are pieces of one text.

Input: a canonical schema (``schema_checks``) and the text. Output: a Lark grammar in ``llguidance``'s dialect. What has
no span inside is left to the library's own reading of JSON Schema; around spans, objects, lists and alternatives are
spelled out here. A span is cut where a word or an escape sequence ends, never inside one. A number is one of those in
the text, however it is written there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from smolforge.engine.constraint_forms import Whitespace
from smolforge.engine.schema_checks import SPAN, target
from smolforge.errors import ConfigError
from smolforge.tasks.source_spans import UNSPACED, numbers

# Escapes, words, and single characters; scripts that are written without spaces are cut at every character.
_CHUNK = re.compile(rf"\\u[0-9a-f]{{4}}|\\.|[^\W_{UNSPACED}]+|.", re.DOTALL)
_MARKS = r",;:.!?…、。，；：！？"  # no phrase begins with one of these
_BEGIN = rf'([^\\\s{_MARKS})\]}}]|\\["\\])'
_END = r'([^\\\s,;:、，；：]|\\["\\])'
_ANY = r"(\\u[0-9a-f]{4}|\\[^u]|[^\\])"
_SEPARATORS: dict[Whitespace, tuple[str, str]] = {"compact": (",", ":"), "spaced": (", ", ": ")}
_OBJECT = frozenset({"type", "properties", "required", "additionalProperties", "$defs", "definitions"})
_LIST = frozenset({"type", "items", "minItems", "maxItems", "$defs", "definitions"})
_DEFINITIONS = ("$defs", "definitions")


def span_grammar(schema: Mapping[str, Any], text: str, whitespace: Whitespace) -> str:
    """Return the grammar; ConfigError names a keyword that cannot stand around a span.

    ``whitespace``: "compact" or "spaced", as for a schema without spans.
    """
    rules = _Rules(schema, text, whitespace)
    start = rules.rule(schema, "")
    return "\n".join([f"start: {start}", *rules.lines, f"SUB: %regex {_json({'substring_chunks': chunks(text)})}"])


def has_spans(schema: Any, root: Mapping[str, Any]) -> bool:
    """Whether there is a span inside ``schema``, references into ``root`` followed."""
    return _holds_span(schema, root, set())


def chunks(text: str) -> list[str]:
    """Return the text, escaped as inside a JSON string, in the pieces a span is made of."""
    return _CHUNK.findall(json.dumps(text, ensure_ascii=False)[1:-1])


class _Rules:
    """Collects rules; each subschema with a span gets one, and each reference's target one for all."""

    def __init__(self, root: Mapping[str, Any], text: str, whitespace: Whitespace) -> None:
        self.lines: list[str] = []
        self._root, self._whitespace = root, whitespace
        self._numbers = sorted({value for _, _, readings in numbers(text) for value in readings})
        self._item, self._key = (_literal(mark) for mark in _SEPARATORS[whitespace])
        self._targets: dict[str, str] = {}
        self._spans: dict[tuple[int, int | None], str] = {}  # bounds of a string span → its terminal

    def rule(self, node: Any, where: str) -> str:
        """Return an expression for a subschema, adding the rules it needs; ``where``: its JSON pointer."""
        if not has_spans(node, self._root):
            return self._add(f"%json {_json(self._alone(node))}")
        if "$ref" in node:
            return self._reference(node, where)
        if "anyOf" in node:
            _only(node, {"anyOf", *_DEFINITIONS}, where)
            return self._add(
                " | ".join(self.rule(inner, f"{where}/anyOf/{i}") for i, inner in enumerate(node["anyOf"]))
            )
        if node.get(SPAN):
            return self._span(node)
        if node.get("type") == "object":
            return self._object(node, where)
        if node.get("type") == "array":
            return self._list(node, where)
        named = next((name for name in ("allOf", "oneOf", "prefixItems") if name in node), "type")
        raise ConfigError(f"schema: '{named}' at {where or '/'} is not supported around a span")

    def _add(self, body: str) -> str:
        self.lines.append(f"r{len(self.lines)}: {body}")
        return f"r{len(self.lines) - 1}"

    def _alone(self, node: Any) -> dict[str, Any]:
        """Return a subschema that stands for itself: with what it refers to, and the same white space."""
        item, key = _SEPARATORS[self._whitespace]
        style = {"whitespace_flexible": False, "item_separator": item, "key_separator": key}
        kept = {name: self._root[name] for name in _DEFINITIONS if name in self._root}
        return {"x-guidance": style, **kept, **(node if isinstance(node, Mapping) else {"anyOf": [node]})}

    def _reference(self, node: Mapping[str, Any], where: str) -> str:
        _only(node, {"$ref", *_DEFINITIONS}, where)
        pointer = node["$ref"]
        if pointer not in self._targets:
            name = self._targets[pointer] = f"t{len(self._targets)}"
            self.lines.append(f"{name}: {self.rule(target(self._root, pointer), pointer.removeprefix('#'))}")
        return self._targets[pointer]

    def _span(self, node: Mapping[str, Any]) -> str:
        kinds = [node["type"]] if isinstance(node["type"], str) else node["type"]
        name = self._string(node) if "string" in kinds else self._number(node, "integer" in kinds)
        return f'({name} | "null")' if "null" in kinds else name

    def _string(self, node: Mapping[str, Any]) -> str:
        bounds = node.get("minLength", 0), node["maxLength"]
        if bounds not in self._spans:
            self._spans[bounds] = f"S{len(self._spans)}"
            self.lines.append(f'{self._spans[bounds]}: "\\"" (SUB & /{_length(*bounds)}/) "\\""')
        return self._spans[bounds]

    def _number(self, node: Mapping[str, Any], whole: bool) -> str:
        """One of the text's numbers that the bounds allow; any number where there is none."""
        least, most = node.get("minimum", -math.inf), node.get("maximum", math.inf)
        fitting = [value for value in self._numbers if least <= value <= most and not (whole and value % 1)]
        if not fitting:
            kind = {name: value for name, value in node.items() if name != SPAN}
            return self._add(f"%json {_json(self._alone({**kind, 'type': 'integer' if whole else 'number'}))}")
        written = (str(int(value)) if value == int(value) else repr(value) for value in fitting)
        return self._add(" | ".join(f'"{text}"' for text in written))

    def _object(self, node: Mapping[str, Any], where: str) -> str:
        """Spell out an object: its keys in order, those that are not required left out or not."""
        _only(node, _OBJECT, where)
        fields, needed = node.get("properties", {}), node.get("required", ())
        if node.get("additionalProperties", False) is not False or any(name not in fields for name in needed):
            raise ConfigError(f"schema: 'additionalProperties' at {where or '/'} is not supported around a span")
        first, later = '""', '""'  # what may follow where no key is written yet, and where one is
        for name, inner in reversed(fields.items()):
            pair = f"{_literal(_json(name))} {self._key} {self.rule(inner, f'{where}/properties/{name}')}"
            written, left_out = f"{pair} {later}", first
            follows = f"{self._item} {pair}"
            must = name in needed
            first = self._add(written if must else f"{written} | {left_out}")
            later = self._add(f"{follows if must else f'({follows})?'} {later}")
        return self._add(f'"{{" {first} "}}"')

    def _list(self, node: Mapping[str, Any], where: str) -> str:
        _only(node, _LIST, where)
        least, most = node.get("minItems", 0), node["maxItems"]
        if most == 0:
            return '"[]"'
        item = self.rule(node["items"], f"{where}/items")
        items = f"{item} ({self._item} {item}){{{max(0, least - 1)},{most - 1}}}"
        return self._add(f'"[" {items if least else f"({items})?"} "]"')


def _length(least: int, most: int) -> str:
    """Return a pattern of ``least`` to ``most`` characters that begin and end as a phrase does."""
    if most == 0:
        return ""
    longer = f"{_BEGIN}{_ANY}{{{max(0, least - 2)},{most - 2}}}{_END}" if most > 1 else _BEGIN
    return f"({longer}{f'|{_BEGIN}' if least < 2 else ''}){'?' if least == 0 else ''}"


def _holds_span(node: Any, root: Mapping[str, Any], seen: set[str]) -> bool:
    if not isinstance(node, Mapping):
        return False
    if node.get(SPAN):
        return True
    inner = [node.get("items"), node.get("additionalProperties")]
    inner += [part for name in ("anyOf", "oneOf", "allOf", "prefixItems") for part in node.get(name, ())]
    inner += [part for name in ("properties", "patternProperties") for part in node.get(name, {}).values()]
    pointer = node.get("$ref")
    if pointer is not None and pointer not in seen:
        seen.add(pointer)
        inner.append(target(root, pointer))
    return any(_holds_span(part, root, seen) for part in inner)


def _only(node: Mapping[str, Any], supported: set[str] | frozenset[str], where: str) -> None:
    for name in node:
        if name not in supported:
            raise ConfigError(f"schema: '{name}' at {where or '/'} is not supported around a span")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _literal(text: str) -> str:
    return _json(text)
