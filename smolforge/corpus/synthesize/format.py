"""Formats: what is asked of a generator about a document, what becomes of the answers, and which checks they must pass.

Input: ``formats/*.yaml``, closed and versioned. Output: ``Format``. A prompt is text with ``{names}``: ``text`` (the
document), ``language`` and ``target`` (by their English names), and the answers to the asks before it. A changed
prompt or check needs a new ``version``, which stands in the provenance of every sample.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from smolforge.corpus.synthesize.limits import Limits
from smolforge.errors import ConfigError, nearest
from smolforge.store.config import Config

FOLDER = Path(__file__).parent / "formats"
_NOT_FORMATS = frozenset({"languages", "judge"})
_NAME = re.compile(r"\{([a-z_]+)\}")
_GIVEN = frozenset({"text", "language", "target", "ask", "tool", "tools", "words", "thoughts", "answer", "result"})


class Ask(Config):
    """One question to the generator. ``form``: the JSON schema of its answer (``calls``: that of calls of the tools
    shown). ``vote``: it is answered several times, and the answer that most samples agree on is taken."""

    name: str
    prompt: str
    form: dict[str, Any] | Literal["calls"] | None = None
    vote: bool = False


class Output(Config):
    """What a kept sample becomes: a document's ``text``, or a conversation. A value that is one name alone is taken as
    it is, a list as a list."""

    text: str | None = None
    messages: tuple[dict[str, str], ...] = ()
    mode: Literal["think", "no_think"] = "no_think"


class Format(Config):
    """One file of ``formats/``."""

    name: str
    version: int = Field(ge=1)
    about: str
    asks: tuple[Ask, ...] = Field(min_length=1)
    output: Output
    checks: tuple[str, ...]
    limits: Limits

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = set(_GIVEN)
        for ask in self.asks:
            _refuse_unknown(ask.prompt, known, f"the prompt of '{ask.name}'")
            known.add(ask.name)
        for text in (self.output.text or "", *(v for message in self.output.messages for v in message.values())):
            _refuse_unknown(text, known, "the output")
        return self

    @property
    def is_document(self) -> bool:
        """Whether kept samples are documents; otherwise they are conversations."""
        return self.output.text is not None


def _refuse_unknown(text: str, known: set[str], where: str) -> None:
    for name in _NAME.findall(text):
        if name not in known:
            raise ValueError(f"{where} names {{{name}}}, which nothing gives{nearest(name, known)}")


def fill(template: str, values: Mapping[str, Any]) -> Any:
    """Put values in the place of their names; a template that is one name alone gives the value itself."""
    alone = _NAME.fullmatch(template)
    if alone:
        return values[alone[1]]
    return _NAME.sub(lambda found: str(values[found[1]]), template)


def format_names() -> list[str]:
    """Return the names of the formats there are."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem not in _NOT_FORMATS)


@functools.cache
def load_format(name: str) -> Format:
    """Return a format; ConfigError with the nearest name where there is none."""
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        names = format_names()
        raise ConfigError(f"there is no format '{name}'{nearest(name, names)}; formats: {', '.join(names)}")
    try:
        return Format(name=name, **yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        raise ConfigError(f"{path}: {error}") from None


@functools.cache
def language_table() -> dict[str, dict[str, Any]]:
    """Return what prompts say of each language: ``name``, ``request`` (for a translation), relative ``length``."""
    table: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "languages.yaml").read_text("utf-8"))
    return table
