"""Functions a model may call: what each is named, what it is for, which arguments it takes.

Input: a Python function, or a definition as JSON (the OpenAI shape, or the bare function). Output: ``Tool``, the one
form that the grammar, the prompt and the loop of calls use.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from smolforge.errors import ConfigError, DataError, nearest
from smolforge.tasks.docstrings import read_docstring

if TYPE_CHECKING:
    from pydantic import BaseModel

MAX_TOOLS = 128  # what the OpenAI API allows
MAX_NAME = 64
_FIELDS = {"type", "name", "description", "parameters", "strict"}


@dataclass(frozen=True)
class Tool:
    """One function. ``parameters`` is the JSON schema of its arguments, an object.

    ``function`` runs it (None: it can be called by name only); ``model`` checks its arguments first.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any] | None = field(default=None, compare=False)
    model: type[BaseModel] | None = field(default=None, compare=False, repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the Python function as it is, so that a decorated one stays usable."""
        if self.function is None:
            raise ConfigError(f"tool '{self.name}' is a definition only; there is no function to run")
        return self.function(*args, **kwargs)

    @cached_property
    def definition(self) -> dict[str, Any]:
        """The tool as the OpenAI API and chat templates write it."""
        about = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": about}

    def run(self, arguments: Mapping[str, Any]) -> Any:
        """Check the arguments and run the function; DataError says which argument is wrong."""
        result = self(**self._checked(arguments))
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    def _checked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self.model is None:
            return dict(arguments)
        from pydantic import ValidationError

        try:
            checked = self.model.model_validate(dict(arguments))
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()]
            raise DataError(f"{self.name}: {'; '.join(wrong)}") from None
        fields = type(checked).model_fields
        return {str(fields[name].alias): getattr(checked, name) for name in fields if name in checked.model_fields_set}


def tool(function: Callable[..., Any]) -> Tool:
    """Make a tool of a Python function; also a decorator.

    Every parameter needs a type hint (``Annotated``, ``Literal``, ``Optional``, lists, dicts and Pydantic models are
    understood); the docstring says what the function is for and, in an ``Args:`` section or ``:param x:`` lines, what
    each parameter means. ConfigError names what is missing.
    """
    name = getattr(function, "__name__", "")
    about, texts = read_docstring(inspect.getdoc(function) or "")
    model, described = _arguments_model(function, name, texts)
    schema = _without_titles(described)
    schema.pop("description", None)
    return Tool(_checked_name(name, f"function {name!r}"), about, schema, function, model)


def tools_of(given: Iterable[Tool | Callable[..., Any] | Mapping[str, Any]]) -> tuple[Tool, ...]:
    """Return tools in their order; ConfigError names the one that is wrong, or two that share a name."""
    found: dict[str, Tool] = {}
    for index, one in enumerate(given):
        where = f"tools[{index}]"
        made = one if isinstance(one, Tool) else _from_json(one, where) if isinstance(one, Mapping) else None
        if made is None and not callable(one):
            raise ConfigError(f"{where}: {type(one).__name__}, expected a function or its definition as an object")
        made = made or tool(one)  # type: ignore[arg-type]
        if made.name in found:
            raise ConfigError(f"{where}: a second tool named '{made.name}'")
        found[made.name] = made
    if len(found) > MAX_TOOLS:
        raise ConfigError(f"tools: {len(found)} of them, the limit is {MAX_TOOLS}")
    return tuple(found.values())


def read_tools(path: Path) -> tuple[Tool, ...]:
    """Read definitions from a JSON file: a list, or an object with the list under ``tools``."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a list of tools ({getattr(error, 'strerror', None) or error})") from None
    value = value.get("tools") if isinstance(value, dict) and set(value) == {"tools"} else value
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{path}: expected a list of tool definitions, at least one")
    try:
        return tools_of(value)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load_tools(path: Path) -> tuple[Tool, ...]:
    """Run a Python file and return its tools: what ``tool`` decorates there, else every public function it defines.

    ConfigError where the file cannot be run or defines none.
    """
    name = f"smolforge_tools_{path.stem}"
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"{path}: no such Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path}: cannot be run ({type(error).__name__}: {error})") from error
    public = [value for key, value in vars(module).items() if not key.startswith("_")]
    decorated = [value for value in public if isinstance(value, Tool)]
    defined = [value for value in public if inspect.isfunction(value) and value.__module__ == name]
    if not decorated and not defined:
        raise ConfigError(f"{path}: it defines no public function")
    try:
        return tools_of(decorated or defined)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _from_json(given: Mapping[str, Any], where: str) -> Tool:
    """Read ``{"type": "function", "function": {…}}`` or the inner object alone."""
    if given.get("type", "function") != "function":
        raise ConfigError(f"{where}: type {given['type']!r} is not supported, only 'function'")
    about = given.get("function", given)
    if about is not given:
        _only(given, {"type", "function"}, where)
        where += ".function"
    if not isinstance(about, Mapping):
        raise ConfigError(f"{where}: {type(about).__name__}, expected an object with a name and parameters")
    _only(about, _FIELDS, where)
    name = _checked_name(about.get("name"), where)
    description, parameters = about.get("description") or "", about.get("parameters")
    if not isinstance(description, str):
        raise ConfigError(f"{where}.description: {type(description).__name__}, expected a string")
    if parameters is None:
        parameters = {"type": "object", "properties": {}}
    if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":
        raise ConfigError(f"{where}.parameters: expected a JSON schema of type object")
    return Tool(name, description, parameters)


def _only(value: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in value:
        if key not in known:
            raise ConfigError(f"{where}: unknown field '{key}'{nearest(str(key), known)}")


def _checked_name(name: Any, where: str) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise ConfigError(f"{where}: name {name!r:.80}, expected 1 to {MAX_NAME} printable characters")
    return name


def _arguments_model(
    function: Callable[..., Any], name: str, texts: Mapping[str, str]
) -> tuple[type[BaseModel], dict[str, Any]]:
    """Return a Pydantic model whose aliases are the function's parameters (a field may not be named e.g. ``json``), and
    its schema."""
    from pydantic import ConfigDict, Field, create_model
    from pydantic.errors import PydanticUserError

    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(f"function '{name}': a type hint cannot be resolved ({error})") from None
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        where = f"function '{name}', parameter '{parameter.name}'"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f"{where}: only plain named parameters can be called by a model")
        if parameter.name not in hints:
            raise ConfigError(f"{where}: no type hint, so a model cannot know what to pass")
        default = ... if parameter.default is parameter.empty else parameter.default
        about: dict[str, Any] = {"description": texts[parameter.name]} if parameter.name in texts else {}
        fields[f"field_{len(fields)}"] = (hints[parameter.name], Field(default, alias=parameter.name, **about))
    try:
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        return model, model.model_json_schema()
    except (PydanticUserError, NameError, ValueError) as error:
        raise ConfigError(f"function '{name}': {str(error).splitlines()[0]}") from None


def _without_titles(schema: Any) -> Any:
    """Leave out the titles Pydantic makes of names: tokens that tell a model nothing."""
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    return {
        key: {name: _without_titles(one) for name, one in value.items()} if key in ("properties", "$defs") else
        value if key in ("default", "const", "enum", "examples") else _without_titles(value)
        for key, value in kept.items()
    }  # fmt: skip
