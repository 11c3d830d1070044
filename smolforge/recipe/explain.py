"""Turn a configuration error into one line: file and line, key path, what was expected, the nearest valid key.

Input is pydantic's ValidationError and the file the values came from; output is the text of a ConfigError.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from smolforge.errors import nearest
from smolforge.recipe.yaml_file import KeyPath, YamlFile

_LONGEST_VALUE = 60


def explain(error: ValidationError, model: type[BaseModel], base: KeyPath, file: YamlFile) -> str:
    """Return one line for the first mistake in ``error``; ``base`` is where in the file ``model``'s values stand."""
    mistakes = error.errors(include_url=False)
    first = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    path = _in_file(file.data, (*base, *first["loc"]), len(base))
    head = f"{file.where(path)}: {dotted(path)}"
    if first["type"] == "extra_forbidden":
        known = sorted({name for holder in models_at(model, first["loc"][:-1]) for name in holder.model_fields})
        return f"{head}: unknown key{nearest(str(first['loc'][-1]), known)}; known keys here: {', '.join(known)}"
    if first["type"] == "missing":
        return f"{head}: missing; it has no default"
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    expected = said if first["type"] == "value_error" else f"expected {said}"
    shown = repr(first["input"])
    got = "" if first["type"] == "value_error" or len(shown) > _LONGEST_VALUE else f", got {shown}"
    if first["type"] == "literal_error":
        got += nearest(str(first["input"]), re.findall(r"'([^']*)'", said))
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return f"{head}: {expected}{got}{more}"


def dotted(path: KeyPath) -> str:
    """Return ``a.b.0.c`` for ("a", "b", 0, "c")."""
    return ".".join(str(part) for part in path)


def models_at(model: Any, loc: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """Return the configuration classes that may stand at ``loc`` below ``model`` (several for a union)."""
    holders: list[Any] = [model]
    for part in loc:
        below = [deeper for holder in holders for deeper in _below(holder, part)]
        holders = below or holders  # a union's tag stands in loc without being a key
    return [holder for holder in _flatten(holders) if isinstance(holder, type) and issubclass(holder, BaseModel)]


def _below(holder: Any, part: str | int) -> list[Any]:
    if isinstance(holder, type) and issubclass(holder, BaseModel):
        field = holder.model_fields.get(str(part))
        return list(_flatten([field.annotation])) if field else []
    origin, arguments = typing.get_origin(holder), typing.get_args(holder)
    if origin in (list, tuple, set, frozenset) and isinstance(part, int):
        return list(_flatten([argument for argument in arguments if argument is not Ellipsis]))
    if origin is dict and len(arguments) == 2:
        return list(_flatten([arguments[1]]))
    return []


def _flatten(kinds: list[Any]) -> Iterator[Any]:
    """Yield the alternatives of unions and the inside of ``Annotated``."""
    for kind in kinds:
        origin = typing.get_origin(kind)
        if origin is typing.Annotated:
            yield from _flatten([typing.get_args(kind)[0]])
        elif origin in (typing.Union, types.UnionType):
            yield from _flatten(list(typing.get_args(kind)))
        else:
            yield kind


def _in_file(data: Any, loc: KeyPath, start: int) -> KeyPath:
    """Drop from ``loc`` the parts pydantic adds for unions: keep a part only where the data has it, or if last."""
    path: list[str | int] = list(loc[:start])
    here = data
    for part in path:
        here = here.get(part) if isinstance(here, dict) else None
    for index, part in enumerate(loc[start:], start):
        inside = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        if inside:
            here = here[part]
            path.append(part)
        elif index == len(loc) - 1 and isinstance(here, dict):
            path.append(part)
    return tuple(path)
