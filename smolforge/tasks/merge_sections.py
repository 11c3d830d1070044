"""What the sections of a text say, put together.

Input: each section's value with its located leaves, in the order of the text. Output: one value and its leaves. Of a
scalar, the first that has a source counts; lists are joined in the order of the text. A list names each text or object
once: small models repeat themselves, and sections overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smolforge.engine.schema_checks import target
from smolforge.tasks.source_spans import Field

Tree = Any  # dict[str, Tree] | list[Tree] | Field


@dataclass(frozen=True)
class Part:
    """One section's value; ``fields`` are its leaves in order, with offsets into the whole text."""

    value: Any
    fields: tuple[Field, ...]


def merge(parts: Sequence[Part], schema: Mapping[str, Any]) -> Part:
    """Return the value of all parts; lists keep to the ``maxItems`` of ``schema``."""
    trees = [_tree(part.value, iter(part.fields)) for part in parts]
    merged = _bounded(_merge(trees), schema, schema)
    return Part(_value(merged), tuple(_fields(merged, "")))


def most_sourced(parts: Sequence[Part]) -> Part:
    """Return the part with the most leaves that stand in the text; of equal ones the first."""
    return max(parts, key=lambda part: sum(not field.inferred for field in part.fields))


def _merge(trees: list[Tree]) -> Tree:
    if len(trees) > 1:
        trees = [tree for tree in trees if not _is_null(tree)] or trees[:1]
    first = trees[0]
    same = [tree for tree in trees if type(tree) is type(first)]
    if isinstance(first, dict):
        names = dict.fromkeys(name for tree in same for name in tree)
        return {name: _merge([tree[name] for tree in same if name in tree]) for name in names}
    if isinstance(first, list):
        return _joined(same)
    sourced = (tree for tree in same if not tree.inferred)
    return next(sourced, next((tree for tree in same if tree.value not in ("", None)), first))


def _joined(lists: list[list[Tree]]) -> list[Tree]:
    """Return all items, each once: of several lists in the order of the text, one without a source behind the last."""
    kept: dict[str, tuple[int, Tree]] = {}
    at = 0
    for item in (item for one in lists for item in one):
        starts = [field.start for field in _fields(item, "") if field.start is not None]
        at = min(starts, default=at)
        kept.setdefault(_name(item, at if len(lists) > 1 else len(kept)), (at, item))
    items = list(kept.values())
    return [item for _, item in (sorted(items, key=lambda pair: pair[0]) if len(lists) > 1 else items)]


def _name(item: Tree, place: int) -> str:
    """Return what two items have in common that count as one: numbers may well stand twice in different places."""
    if isinstance(item, Field) and not isinstance(item.value, str):
        return f"{item.value} at {place}"
    return json.dumps(_value(item), ensure_ascii=False, sort_keys=True).casefold()


def _bounded(tree: Tree, node: Any, root: Mapping[str, Any]) -> Tree:
    """Cut lists to the length that the schema allows."""
    node = _resolved(node, root, "array" if isinstance(tree, list) else "object")
    if isinstance(tree, dict):
        known = node.get("properties", {})
        return {name: _bounded(inner, known.get(name, {}), root) for name, inner in tree.items()}
    if isinstance(tree, list):
        return [_bounded(inner, node.get("items", {}), root) for inner in tree[: node.get("maxItems")]]
    return tree


def _resolved(node: Any, root: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the schema of an array or an object, behind references and alternatives; {} where it is not plain."""
    for _ in range(16):
        if not isinstance(node, Mapping):
            return {}
        if "$ref" in node:
            node = target(root, node["$ref"])
        elif "anyOf" in node:
            node = next((one for one in node["anyOf"] if isinstance(one, Mapping) and _is_kind(one, kind)), {})
        else:
            return node
    return {}


def _is_kind(node: Mapping[str, Any], kind: str) -> bool:
    return kind in str(node.get("type")) or "$ref" in node


def _tree(value: Any, fields: Iterator[Field]) -> Tree:
    if isinstance(value, dict):
        return {name: _tree(inner, fields) for name, inner in value.items()}
    if isinstance(value, list):
        return [_tree(inner, fields) for inner in value]
    return next(fields)


def _value(tree: Tree) -> Any:
    if isinstance(tree, dict):
        return {name: _value(inner) for name, inner in tree.items()}
    return [_value(inner) for inner in tree] if isinstance(tree, list) else tree.value


def _fields(tree: Tree, path: str) -> Iterator[Field]:
    if isinstance(tree, Field):
        yield replace(tree, path=path)
    for name, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from _fields(inner, f"{path}/{str(name).replace('~', '~0').replace('/', '~1')}")


def _is_null(tree: Tree) -> bool:
    return isinstance(tree, Field) and tree.value is None
