"""Recipe files are YAML 1.2 core: no duplicate keys, no `no` that becomes false, and every value remembers its line.

Input is one file or one command-line value; output is plain Python values plus a map from key path to line number,
which the loader uses to say where a mistake is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from smolforge.errors import ConfigError

KeyPath = tuple[str | int, ...]


class _Reader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2 scalars: `2e-4` is a number, `no` and `12:30` are words."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and shape are PyYAML's


_Reader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Reader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Reader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9][0-9_]*$"), list("-+0123456789"))
_Reader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:[0-9][0-9_]*)?\.[0-9]+|[0-9][0-9_]*\.?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_Reader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def _int(loader: _Reader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)).replace("_", ""))


def _float(loader: _Reader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).replace("_", ""))


_Reader.add_constructor("tag:yaml.org,2002:int", _int)
_Reader.add_constructor("tag:yaml.org,2002:float", _float)


@dataclass(frozen=True)
class YamlFile:
    """A read file: its values, and the line (from 1) on which each key path stands."""

    path: Path
    data: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Return "file:line" of a key path, or of its nearest parent that stands in the file."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{self.path}:{self.lines[path[:end]]}"
        return str(self.path)


def read_yaml(path: Path) -> YamlFile:
    """Read a mapping from ``path``; ConfigError names file and line of a syntax error or a duplicate key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from None
    data, lines = _parse(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values such as 'name: nano', not {_kind(data)}")
    return YamlFile(path, data, lines)


def parse_value(text: str, where: str) -> Any:
    """Read one command-line value as YAML, so that `10`, `2e-4`, `[a, b]` and `{path: x}` mean what they look like."""
    return _parse(text, where)[0]


def _parse(text: str, name: str) -> tuple[Any, dict[KeyPath, int]]:
    loader = _Reader(text)
    lines: dict[KeyPath, int] = {}
    try:
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _walk(node, (), lines, name, set())
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: not valid YAML ({error.problem or error.context})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML ({error})".replace("\n", " ")) from None
    except ConfigError:
        raise
    except (ValueError, KeyError, AttributeError) as error:  # a tag whose value does not fit it, or an endless number
        raise ConfigError(f"{name}: a value cannot be read ({str(error).split(';')[0]})") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str, open_nodes: set[int]) -> None:
    """Note the line of every key below ``node``; refuse duplicate keys, keys that are not words, and cycles."""
    if id(node) in open_nodes:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: an anchor contains itself")
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{name}:{line}: a key must be a word, not {_kind(key)}")
            if key.value in seen and key.value != "<<":
                raise ConfigError(f"{name}:{line}: '{key.value}' is given twice (first on line {seen[key.value]})")
            seen[key.value] = line
            lines.setdefault((*path, key.value), line)
            _walk(value, path if key.value == "<<" else (*path, key.value), lines, name, open_nodes | {id(node)})
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines.setdefault((*path, index), item.start_mark.line + 1)
            _walk(item, (*path, index), lines, name, open_nodes | {id(node)})


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return {"list": "a list", "SequenceNode": "a list", "MappingNode": "a mapping"}.get(
        type(value).__name__, f"{value!r}"
    )
