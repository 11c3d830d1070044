"""From the bytes of a request to a checked model: strict JSON, within limits, and only known fields.

Input: a request. Output: a ``Fields`` model. ``Problem`` 400 names the field. Duplicate keys, NaN, lone surrogates and
numbers beyond a float's range are errors here, since every reader takes them to mean something else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from smolforge.errors import nearest
from smolforge.serve.problems import Problem
from smolforge.serve.serving import serving_of

MAX_DEPTH = 96  # a schema may be 64 deep, inside a tool, inside a list
LONGEST_INT = 32  # digits
INLINE = 16 << 10  # bytes that are read in well under a millisecond


class Fields(BaseModel):
    """A request body, or a part of one: no unknown fields, no conversions of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Model = TypeVar("Model", bound=Fields)


async def checked(request: Request, model: type[Model]) -> Model:
    """Read and check the body of a request; ``Problem`` 400 where it is not what ``model`` says."""
    body = await request.body()
    if len(body) <= INLINE:
        return parse(body, model)
    return await serving_of(request).off_loop(parse, body, model)


def parse(body: bytes, model: type[Model]) -> Model:
    """Return the body as a model."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise Problem(400, "the body is not a JSON object", code="invalid_json")
    return validated(value, model)


def validated(value: dict[str, Any], model: type[Model]) -> Model:
    """Return an object as a model."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refusal(error, value, model) from None


def read_json(body: bytes) -> Any:
    """Return the value of a JSON text."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_pairs, parse_constant=_no_constant, parse_float=_float, parse_int=_int
        )
    except UnicodeDecodeError as error:
        raise Problem(400, f"the body is not UTF-8 (byte {error.start})", code="invalid_json") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {error}", code="invalid_json") from None
    _check(value, surrogates=b"\\ud" in body or b"\\uD" in body)
    return value


def _check(value: Any, surrogates: bool) -> None:
    """Walk through the whole value for its depth, and for text that is not Unicode where there may be some."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper += item.values()
                if surrogates:
                    deeper += item.keys()
            elif isinstance(item, list):
                deeper += item
            elif surrogates and isinstance(item, str) and any("\ud800" <= c <= "\udfff" for c in item):
                raise Problem(400, "the body holds a lone surrogate, which is no Unicode text", code="invalid_json")
        level = deeper


def _too_deep() -> Problem:
    return Problem(400, f"the body is nested deeper than {MAX_DEPTH} levels", code="invalid_json")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond the range of a number")
    return value


def _int(text: str) -> int:
    if len(text) > LONGEST_INT:
        raise ValueError(f"a whole number of {len(text)} digits is beyond any range")
    return int(text)


def _refusal(error: ValidationError, value: Any, model: type[Fields]) -> Problem:
    """Return the first mistake, an unknown field before others, with the path that leads to it."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), None) or max(found, key=lambda e: len(e["loc"]))
    unknown = first["type"] == "extra_forbidden"
    path = _path(first["loc"], value, missing=first["type"] == "missing")
    if unknown:
        name = str(first["loc"][-1])
        hint = model.hint(name) if hasattr(model, "hint") else ""
        text = f"the field '{path}' is not supported{hint or nearest(name, model.model_fields)}"
        return Problem(400, text, param=path, code="unsupported_field")
    message = first["msg"].removeprefix("Value error, ")
    if not path:  # a rule over several fields names the one at fault first
        word = message.split()[0]
        return Problem(400, message, param=word if word in model.model_fields else None, code="invalid_value")
    return Problem(400, f"{path}: {message}", param=path, code="invalid_value")


def _path(loc: Sequence[int | str], value: Any, missing: bool) -> str:
    """Write a place as ``messages[0].content``; what the checker adds to say which alternative it tried is left out."""
    path = ""
    for i, part in enumerate(loc):
        if isinstance(part, int) and isinstance(value, list) and part < len(value):
            path, value = f"{path}[{part}]", value[part]
        elif isinstance(value, dict) and (part in value or (missing and i == len(loc) - 1)):
            path, value = f"{path}.{part}" if path else str(part), value.get(str(part))
    return path
