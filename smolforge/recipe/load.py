"""Read a recipe: YAML, then dotted overrides from the command line, then every section checked by its own class.

Input is a file and words such as ``sft.phases.0.steps=10`` or ``corpus.sources+=~/notes``; output is a Recipe. Every
mistake is a ConfigError of one line naming file, key, what was expected and the nearest valid key.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from smolforge.errors import ConfigError, nearest
from smolforge.recipe.explain import explain, models_at
from smolforge.recipe.schema import Header, Recipe
from smolforge.recipe.stages import STAGES, Stage
from smolforge.recipe.yaml_file import YamlFile, parse_value, read_yaml
from smolforge.store import Config

C = TypeVar("C", bound=BaseModel)
_OVERRIDE = re.compile(r"^([A-Za-z_][\w.*/-]*?)(\+?=)(.*)$", re.DOTALL)


def load_recipe(path: Path, overrides: Sequence[str] = (), stages: Sequence[Stage] = STAGES) -> Recipe:
    """Read, override and check a recipe file. Raises ConfigError; nothing is written."""
    file = read_yaml(path)
    data = copy.deepcopy(file.data)
    touched = [_apply(data, word, stages) for word in overrides]
    source = YamlFile(file.path, data, {key: line for key, line in file.lines.items() if key not in touched})
    header, sections = _check(source, stages)
    recipe = Recipe(header, sections, path, stages, tuple(overrides))
    for stage in recipe.present():
        absent = [name for name in stage.requires if name not in sections]
        if absent:
            raise ConfigError(f"{path}: {stage.name}: needs the stage '{absent[0]}', which the recipe does not have")
        if stage.follows and not any(name in sections for name in stage.follows):
            raise ConfigError(f"{path}: {stage.name}: needs a stage before it to go on from: {_either(stage.follows)}")
    return recipe


def _check(file: YamlFile, stages: Sequence[Stage]) -> tuple[Header, dict[str, Config]]:
    names = [stage.name for stage in stages]
    known = [*Header.model_fields, *names]
    for key in file.data:
        if key not in known:
            raise ConfigError(
                f"{file.where((key,))}: {key}: unknown key{nearest(str(key), known)}; known keys: {', '.join(known)}"
            )
    header = _validated(Header, {k: v for k, v in file.data.items() if k not in names}, (), file)
    if header.model is not None:
        _check_model(header.model, file)
    sections: dict[str, Config] = {}
    for stage in stages:
        if stage.name in file.data:
            section = file.data[stage.name]
            if section is None:
                section = {}
            if isinstance(section, dict) and stage.takes_model and section.get("model") is None:
                section = {**section, "model": header.model}
            sections[stage.name] = _validated(stage.config_class(), section, (stage.name,), file)
            if stage.takes_model and header.model is None and getattr(sections[stage.name], "model", None) is None:
                raise ConfigError(
                    f"{file.path}: {stage.name}: needs the recipe's 'model' section, e.g. {{preset: nano}}"
                )
    return header, sections


def _validated(model: type[C], values: Any, base: tuple[str, ...], file: YamlFile) -> C:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, model, base, file)) from None


def _check_model(model: dict[str, Any], file: YamlFile) -> None:
    """Check ``model``: a preset's name, and overrides that are fields of ModelConfig."""
    from smolforge.model.config import ModelConfig
    from smolforge.model.presets import preset

    known = ["preset", *(field.name for field in dataclasses.fields(ModelConfig))]
    for key in model:
        if key not in known:
            raise ConfigError(
                f"{file.where(('model', key))}: model.{key}: unknown key{nearest(key, known)}; "
                f"known keys here: {', '.join(known)}"
            )
    if "preset" not in model:
        raise ConfigError(f"{file.where(('model',))}: model.preset: missing; e.g. model: {{preset: nano}}")
    try:
        preset(model["preset"], **{key: value for key, value in model.items() if key != "preset"})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{file.where(('model', 'preset'))}: model: {error}") from None


def _apply(data: dict[str, Any], word: str, stages: Sequence[Stage]) -> tuple[str | int, ...]:
    """Apply one override to the raw values in place; return the key path it set."""
    match = _OVERRIDE.match(word)
    if not match:
        raise ConfigError(f"'{word}': expected an override such as sft.phases.0.steps=10 or corpus.sources+=~/notes")
    key, operator, text = match.groups()
    value = parse_value(text, word)
    path = tuple(key.split("."))
    here: Any = data
    for depth, part in enumerate(path[:-1]):
        here = _step(here, part, path[: depth + 1], word, stages)
    if isinstance(here, list):
        index = _index(here, path[-1], word)
        if operator == "+=" and not isinstance(here[index], list):
            raise ConfigError(f"'{word}': += appends to a list, and {key} is {here[index]!r}; use {key}=...")
        here[index] = [*here[index], value] if operator == "+=" else value
        return (*path[:-1], index)
    if not isinstance(here, dict):
        raise ConfigError(f"'{word}': {'.'.join(path[:-1])} is {here!r}, which has no keys")
    if operator == "+=":
        present = here[path[-1]] if path[-1] in here else _default(path, stages)
        if not isinstance(present, list):
            raise ConfigError(f"'{word}': += appends to a list, and {key} is {present!r}; use {key}=...")
        value = [*present, *value] if isinstance(value, list) else [*present, value]
    here[path[-1]] = value
    return path


def _step(here: Any, part: str, path: tuple[str, ...], word: str, stages: Sequence[Stage]) -> Any:
    if isinstance(here, list):
        return here[_index(here, part, word)]
    if not isinstance(here, dict):
        raise ConfigError(f"'{word}': {'.'.join(path[:-1])} is {here!r}, which has no keys")
    if here.get(part) is None:
        present = _default(path, stages)
        here[part] = present if isinstance(present, dict | list) else {}
    return here[part]


def _index(items: list[Any], part: str, word: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise ConfigError(f"'{word}': '{part}' is not an item of a list of {len(items)} (0 to {len(items) - 1})")
    return int(part)


def _default(path: tuple[str, ...], stages: Sequence[Stage]) -> Any:
    """Return the default that ``path`` has in its section's class, as raw values; None where there is none."""
    stage = next((stage for stage in stages if stage.name == path[0]), None)
    if stage is None or len(path) < 2:
        return None
    for holder in models_at(stage.config_class(), path[1:-1]):
        field = holder.model_fields.get(path[-1])
        if field is not None:
            value = field.get_default(call_default_factory=True)
            if value is not PydanticUndefined:
                return _raw(value)
            return []  # a required list: appending to nothing
    return None


def _raw(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, list | tuple):
        return [_raw(item) for item in value]
    return value


def _either(names: Sequence[str]) -> str:
    return " or ".join(f"'{name}'" for name in names)
