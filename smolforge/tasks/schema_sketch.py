"""A schema as a small model reads it best: the shape of the answer itself, one line, keys in order.

Input: a JSON schema that was checked (``schema_checks``). Output: text such as ``{"name": string, "age": integer,
"kind": "invoice" | "letter"}``, and the meaning of each field that says one. White space is that of the answers, so
that they continue what was seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from smolforge.engine.schema_checks import target

_NAMES = {"string": "string", "integer": "integer", "number": "number", "boolean": "true | false", "null": "null"}
_DEPTH = 6  # levels of references that are shown


def sketch(schema: Mapping[str, Any]) -> str:
    """Return the shape of what the schema describes."""
    return _sketch(schema, schema, 0)


def meanings(schema: Mapping[str, Any]) -> str:
    """Return a line ``name: meaning`` for every property that has a description; "" where none has."""
    return "".join(f"- {name}: {text}\n" for name, text in dict(_described(schema)).items())


def _sketch(node: Any, root: Mapping[str, Any], depth: int) -> str:
    if not isinstance(node, Mapping) or depth > _DEPTH:
        return "any"
    if "$ref" in node:
        return _sketch(target(root, node["$ref"]), root, depth + 1)
    if "const" in node:
        return _json(node["const"])
    if "enum" in node:
        return " | ".join(map(_json, node["enum"]))
    for name in ("anyOf", "oneOf", "allOf"):
        if name in node:
            return (" & " if name == "allOf" else " | ").join(_sketch(part, root, depth + 1) for part in node[name])
    if "properties" in node:
        fields = (f"{_json(name)}: {_sketch(part, root, depth + 1)}" for name, part in node["properties"].items())
        return "{" + ", ".join(fields) + "}"
    if node.get("type") == "array" or "items" in node:
        return f"[{_sketch(node.get('items', True), root, depth + 1)}, ...]"
    kind = node.get("type", "any")
    return " | ".join(_NAMES.get(one, str(one)) for one in (kind if isinstance(kind, list) else [kind]))


def _described(node: Any) -> Iterator[tuple[str, str]]:
    """Yield (name, description) of every property, definitions included."""
    if isinstance(node, list):
        for part in node:
            yield from _described(part)
    if not isinstance(node, Mapping):
        return
    for group in ("properties", "$defs", "definitions"):
        for name, part in node.get(group, {}).items():
            text = part.get("description") if isinstance(part, Mapping) and group == "properties" else None
            if isinstance(text, str):
                yield name, " ".join(text.split())
            yield from _described(part)
    for group in ("items", "anyOf", "oneOf", "allOf", "prefixItems"):
        yield from _described(node.get(group))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
