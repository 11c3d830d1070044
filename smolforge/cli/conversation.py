"""A conversation: what was said, in which mode and with which settings, kept in a file when the person wants it.

Input: turns and settings. Output: the messages of the next prompt, and a JSON file that gives all of it back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from smolforge.cli.options import SAMPLING, sampling_of
from smolforge.errors import ConfigError, DataError, nearest

Mode = Literal["think", "no_think"]
KIND = "smolforge chat 1"
LIMITS = {"max_tokens": "most tokens of an answer", "thinking_budget": "most tokens of a think block; 0: no limit"}
SETTABLE = {name: text for name, (_, text) in SAMPLING.items()} | LIMITS


@dataclass
class Conversation:
    """What the next prompt is made from. ``settings``: sampling settings, ``max_tokens``, ``thinking_budget``."""

    mode: Mode
    settings: dict[str, float]
    system: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)

    def prompt(self, question: str) -> list[dict[str, Any]]:
        """Return the messages up to and with ``question``."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *self.messages, {"role": "user", "content": question}]

    def add(self, question: str, answer: str) -> None:
        """Keep a turn."""
        self.messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]

    @property
    def sampling(self) -> dict[str, float]:
        """The settings that say how tokens are chosen."""
        return {name: value for name, value in self.settings.items() if name in SAMPLING}

    def set(self, name: str, text: str) -> None:
        """Change one setting; ConfigError if there is no such setting or value."""
        name = name.replace("-", "_")
        if name not in SETTABLE:
            raise ConfigError(f"no setting '{name}'{nearest(name, SETTABLE)}; there are {', '.join(SETTABLE)}")
        kind = SAMPLING[name][0] if name in SAMPLING else int
        try:
            value = kind(text)
        except ValueError:
            raise ConfigError(f"{name}: {text!r} is not a number") from None
        if name in LIMITS and value < (1 if name == "max_tokens" else 0):
            raise ConfigError(f"{name} is {value}, which is too small")
        changed = {**self.settings, name: value}
        sampling_of({key: setting for key, setting in changed.items() if key in SAMPLING})
        self.settings = changed

    def save(self, path: Path) -> None:
        """Write everything to ``path``; only an earlier conversation is written over."""
        from smolforge.store.atomic import write_json

        if path.exists() and not _is_ours(path):
            raise ConfigError(f"{path}: exists and is not a conversation; name another file")
        kept = {"mode": self.mode, "settings": self.settings, "system": self.system, "messages": self.messages}
        write_json(path, {"kind": KIND, **kept})

    def load(self, path: Path) -> None:
        """Take everything from ``path``; DataError if it is not a conversation."""
        found = _read(path)
        mode, messages = found.get("mode"), found.get("messages")
        system, settings = found.get("system"), found.get("settings")
        if mode not in ("think", "no_think") or not isinstance(settings, dict) or not isinstance(system, str | None):
            raise DataError(f"{path}: mode, settings or system are not those of a conversation")
        if not isinstance(messages, list) or not all(_is_message(message) for message in messages):
            raise DataError(f"{path}: messages must be a list of objects with 'role' and 'content'")
        fresh = Conversation(mode, dict(self.settings), system, messages)
        for name, value in settings.items():
            fresh.set(name, str(value))
        self.mode, self.settings, self.system, self.messages = fresh.mode, fresh.settings, system, messages


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("role", "content"))


def _is_ours(path: Path) -> bool:
    try:
        return bool(_read(path))
    except DataError:
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not valid JSON") from None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise DataError(f"{path}: not a conversation that 'chat' saved")
    return found
