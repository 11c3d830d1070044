"""The legal tool calls of a tool list, as an automaton over bytes that is built once and serves any command.

Input: tools in OpenAI's function format with ``x-copy`` and ``x-slot-combinations``. Output: a graph of ``State``;
``call_constraint`` follows it byte by byte and fills the copy slots from the command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smolforge.errors import ConfigError
from smolforge.tasks.call_state import SlotKind, State, add_numbers

MAX_ITEMS = 4


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Function:
    """One tool: its name, its properties in order, and which sets of them make a legal call."""

    name: str
    properties: Mapping[str, Mapping[str, Any]]
    required: frozenset[str]
    combinations: frozenset[frozenset[str]] | None

    @classmethod
    def parse(cls, tool: Mapping[str, Any], where: str) -> Function:
        """Read one entry of tools.json; ConfigError names the tool and the key that is wrong."""
        body = tool.get("function", tool)
        if not isinstance(body, Mapping) or not isinstance(body.get("name"), str):
            raise ConfigError(f"{where}: expected {{'function': {{'name': ..., 'parameters': ...}}}}")
        parameters = body.get("parameters") or {}
        properties = parameters.get("properties", {})
        combinations = body.get("x-slot-combinations", parameters.get("x-slot-combinations"))
        sets = None if combinations is None else frozenset(frozenset(names) for names in combinations)
        for names in (*(sets or ()), parameters.get("required", ())):
            if unknown := sorted(set(names) - set(properties)):
                raise ConfigError(f"{where} ({body['name']}): '{unknown[0]}' is not among its properties")
        return cls(body["name"], properties, frozenset(parameters.get("required", ())), sets)

    def next_steps(self, chosen: frozenset[str], done: int, usable: frozenset[str]) -> tuple[bool, list[int]]:
        """Return (may the call end here, indexes of the properties that may come next).

        ``chosen`` are the properties given so far, ``done`` how many of the ordered properties are decided, ``usable``
        those this command can fill at all.
        """
        names = list(self.properties)
        if self.combinations is None:
            nearest_required = next((i for i in range(done, len(names)) if names[i] in self.required), None)
            last = len(names) if nearest_required is None else nearest_required + 1
            return nearest_required is None, [i for i in range(done, last) if names[i] in usable]
        decided = set(names[:done])
        open_sets = [s - decided for s in self.combinations if s & decided == chosen and s <= usable]
        return frozenset() in open_sets, sorted({min(map(names.index, rest)) for rest in open_sets if rest})


class CallGrammar:
    """Compiles a tool list; graphs are kept per set of slot kinds that a command cannot fill."""

    def __init__(self, tools: Sequence[Mapping[str, Any]], prefix: str = "") -> None:
        self.functions = [Function.parse(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
        if not self.functions:
            raise ConfigError("tools: the list is empty; a constrained call needs at least one function")
        self.prefix = prefix.encode()
        schemas = [schema for function in self.functions for schema in function.properties.values()]
        self.slot_kinds = {kind for schema in schemas for kind in copied_kinds(schema)}
        self._graphs: dict[frozenset[SlotKind], State] = {}

    def graph(self, unavailable: frozenset[SlotKind] = frozenset()) -> State:
        """Return the first state for a command in which the slot kinds ``unavailable`` find nothing to copy.

        Raises ConfigError where no function can be called at all.
        """
        if unavailable not in self._graphs:
            self._graphs[unavailable] = self._compile(unavailable)
        return self._graphs[unavailable]

    def _compile(self, unavailable: frozenset[SlotKind]) -> State:
        root = State()
        start = root.follow(self.prefix + b'<tool_call>\n{"name": ')
        for function in self.functions:
            names = [n for n, schema in function.properties.items() if _usable(schema, unavailable)]
            if not self._callable(function, frozenset(names)):
                continue
            opened = start.follow(_json(function.name) + b', "arguments": {')
            opened.join(self._arguments(_Plan(function, frozenset(names), unavailable), frozenset(), 0))
        if not start.edges:
            raise ConfigError("no function of the tool list can be called with what this command holds")
        return root

    @staticmethod
    def _callable(function: Function, usable: frozenset[str]) -> bool:
        if function.combinations is None:
            return function.required <= usable
        return any(names <= usable for names in function.combinations)

    def _arguments(self, plan: _Plan, chosen: frozenset[str], done: int) -> State:
        """Return the state after ``chosen`` arguments, its continuations built (shared through ``plan.built``)."""
        if (chosen, done) in plan.built:
            return plan.built[chosen, done]
        state = plan.built[chosen, done] = State()
        may_end, following = plan.function.next_steps(chosen, done, plan.usable)
        if may_end:
            state.follow(b"}}\n</tool_call>").accepting = True
        names = list(plan.function.properties)
        for index in following:
            name = names[index]
            after = self._arguments(plan, chosen | {name}, index + 1)
            start = state.follow((b", " if chosen else b"") + _json(name) + b": ")
            where = f"{plan.function.name}.{name}"
            _value(start, plan.function.properties[name], after, where, plan.unavailable)
        return state


@dataclass(frozen=True)
class _Plan:
    """What one function's graph is built from, and its states so far by (arguments given, properties decided)."""

    function: Function
    usable: frozenset[str]
    unavailable: frozenset[SlotKind]
    built: dict[tuple[frozenset[str], int], State] = field(default_factory=dict)


def alternatives(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the schemas a value may follow: those of ``anyOf``, or the one."""
    found: Sequence[Mapping[str, Any]] = schema.get("anyOf", [schema])
    return found


def copied_kinds(schema: Mapping[str, Any]) -> set[SlotKind]:
    """Return what a property may copy from the command; empty where all its values are listed or bounded."""
    return {kind for alternative in alternatives(schema) if (kind := _copied(alternative)) is not None}


def _copied(schema: Mapping[str, Any]) -> SlotKind | None:
    if schema.get("type") == "array":
        return _copied(schema.get("items", {}))
    if "enum" in schema or not schema.get("x-copy"):
        return None
    return SlotKind(schema.get("type", "string"), schema.get("minimum"), schema.get("maximum"))


def _usable(schema: Mapping[str, Any], unavailable: frozenset[SlotKind]) -> bool:
    return any(_copied(alternative) not in unavailable for alternative in alternatives(schema))


def _value(
    start: State, schema: Mapping[str, Any], after: State, where: str, unavailable: frozenset[SlotKind] = frozenset()
) -> None:
    """Build every value of ``schema`` from ``start``, each leading on to ``after``."""
    for alternative in alternatives(schema):
        kind = _copied(alternative)
        if kind in unavailable:
            continue
        if alternative.get("type") == "array":
            _array(start.follow(b"["), alternative, after, where)
        elif kind is None:
            _closed(start, alternative, after, where)
        elif kind.type == "string":
            opened = start.follow(b'"')
            opened.slot, opened.after_slot = kind, State(edges={ord('"'): after})
        else:
            start.slot, start.after_slot = kind, after


def _array(start: State, schema: Mapping[str, Any], after: State, where: str) -> None:
    """Build one to ``maxItems`` values, separated as JSON is rendered."""
    tail = State()
    tail.follow(b"]").join(after)
    for _ in range(int(schema.get("maxItems", MAX_ITEMS)) - 1):
        longer = State()
        longer.join(tail)
        _value(longer.follow(b", "), schema.get("items", {}), tail, where)
        tail = longer
    _value(start, schema.get("items", {}), tail, where)


def _closed(start: State, schema: Mapping[str, Any], after: State, where: str) -> None:
    """Build the values of a property that copies nothing; ConfigError where they are not bounded."""
    kind, low, high = schema.get("type"), schema.get("minimum"), schema.get("maximum")
    if "enum" not in schema and kind in ("integer", "number") and low is not None and high is not None:
        add_numbers(start, low, high, kind == "number", after)
        return
    values = schema.get("enum", (True, False) if kind == "boolean" else None)
    if values is None:
        raise ConfigError(
            f"{where}: a constrained value needs 'enum', '\"x-copy\": true', boolean type, "
            "or a number with minimum and maximum"
        )
    ends = [start.follow(_json(value)) for value in values]
    for end in ends:
        end.join(after)
