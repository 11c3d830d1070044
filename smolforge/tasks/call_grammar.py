"""The legal tool calls of a tool list, as an automaton over bytes that is built once and serves any command.

Input: tools in OpenAI's function format with ``x-copy`` and ``x-slot-combinations``. Output: a graph of ``State``;
``call_constraint`` follows it byte by byte and fills the copy slots from the command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smolforge.errors import ConfigError

MAX_ENUMERATED_INTEGERS = 2048
MAX_ITEMS = 4


@dataclass(frozen=True)
class SlotKind:
    """What a copy slot takes: text spans, or numbers within a range."""

    type: str = "string"
    minimum: float | None = None
    maximum: float | None = None


@dataclass(eq=False)
class State:
    """A place in the text. ``slot`` says that a copied value begins here, after which ``after_slot``'s edges count."""

    edges: dict[int, State] = field(default_factory=dict)
    slot: SlotKind | None = None
    after_slot: State | None = None
    accepting: bool = False
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)

    def follow(self, literal: bytes) -> State:
        """Return the state after ``literal``, made where it does not exist yet."""
        state = self
        for byte in literal:
            state = state.edges.setdefault(byte, State())
        return state

    def join(self, other: State) -> None:
        """Make whatever may come at ``other`` possible here too."""
        self.edges.update(other.edges)
        self.accepting = self.accepting or other.accepting


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
        self.slot_kinds = {kind for schema in schemas if (kind := slot_kind(schema)) is not None}
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
            names = [n for n, schema in function.properties.items() if slot_kind(schema) not in unavailable]
            if not self._callable(function, frozenset(names)):
                continue
            opened = start.follow(_json(function.name) + b', "arguments": {')
            opened.join(self._arguments(function, frozenset(), 0, frozenset(names), {}))
        if not start.edges:
            raise ConfigError("no function of the tool list can be called with what this command holds")
        return root

    @staticmethod
    def _callable(function: Function, usable: frozenset[str]) -> bool:
        if function.combinations is None:
            return function.required <= usable
        return any(names <= usable for names in function.combinations)

    def _arguments(
        self,
        function: Function,
        chosen: frozenset[str],
        done: int,
        usable: frozenset[str],
        built: dict[tuple[frozenset[str], int], State],
    ) -> State:
        """Return the state after ``chosen`` arguments, its continuations built (shared through ``built``)."""
        if (chosen, done) in built:
            return built[chosen, done]
        state = built[chosen, done] = State()
        may_end, following = function.next_steps(chosen, done, usable)
        if may_end:
            state.follow(b"}}\n</tool_call>").accepting = True
        names = list(function.properties)
        for index in following:
            name = names[index]
            after = self._arguments(function, chosen | {name}, index + 1, usable, built)
            separator = b", " if chosen else b""
            where = f"{function.name}.{name}"
            _value(state.follow(separator + _json(name) + b": "), function.properties[name], after, where)
        return state


def slot_kind(schema: Mapping[str, Any]) -> SlotKind | None:
    """Return what a property copies from the command, or None where its values are listed."""
    if schema.get("type") == "array":
        return slot_kind(schema.get("items", {}))
    if "enum" in schema or not schema.get("x-copy"):
        return None
    return SlotKind(schema.get("type", "string"), schema.get("minimum"), schema.get("maximum"))


def _value(start: State, schema: Mapping[str, Any], after: State, where: str) -> None:
    """Build every value of ``schema`` from ``start``, each leading on to ``after``."""
    if schema.get("type") == "array":
        _array(start.follow(b"["), schema, after, where)
        return
    kind = slot_kind(schema)
    if kind is None:
        ends = [start.follow(_json(value)) for value in _listed(schema, where)]
        for end in ends:
            end.join(after)
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


def _listed(schema: Mapping[str, Any], where: str) -> Iterable[Any]:
    """Return the values of a closed property; ConfigError where they cannot be listed."""
    if "enum" in schema:
        return list(schema["enum"])
    if schema.get("type") == "boolean":
        return (True, False)
    if schema.get("type") == "integer" and {"minimum", "maximum"} <= set(schema):
        low, high = int(schema["minimum"]), int(schema["maximum"])
        if high - low < MAX_ENUMERATED_INTEGERS:
            return range(low, high + 1)
    raise ConfigError(
        f"{where}: a constrained value needs 'enum', '\"x-copy\": true', boolean type, "
        f"or an integer with minimum and maximum at most {MAX_ENUMERATED_INTEGERS} apart"
    )
