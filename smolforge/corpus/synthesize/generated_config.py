"""Configuration of generated sets: who generates, who judges, and what is made of which documents.

Input: ``synthesize.generated`` of a recipe. Output: frozen values; a set's limits are those of its format with
changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from smolforge.corpus.config import LANGUAGES
from smolforge.corpus.synthesize.endpoint import EndpointConfig
from smolforge.corpus.synthesize.format import FOLDER, load_format
from smolforge.corpus.synthesize.limits import Limits
from smolforge.corpus.synthesize.request import Params
from smolforge.errors import nearest
from smolforge.store.config import Config
from smolforge.store.digest import digest_file
from smolforge.store.outside import files_mark


class GeneratedSet(Config):
    """One set. ``documents``: how many of the corpus' kept documents it takes, of each of ``languages`` or by language.
    ``samples``: answers to a question that is voted on. ``to``: languages that back-translation goes to (English for
    other texts). ``tools``: a JSON file with a list of function definitions, for the format ``tool_call``.
    """

    format: str
    documents: int | dict[str, int] = 100
    languages: tuple[str, ...] = ("en",)
    samples: int = Field(5, ge=1, le=64)
    to: tuple[str, ...] = tuple(code for code in LANGUAGES if code != "en")
    tools: Path | None = None
    params: Params = Params()
    source_characters: int = Field(6000, ge=100, description="most of a document that is shown")
    source_at_least: int = Field(200, ge=1, description="characters of a document that is worth taking")
    limits: dict[str, Any] = Field(default_factory=dict)

    @field_validator("languages", "to")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for code in value:
            _refuse_unknown(code)
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        load_format(self.format)
        for code in self.quotas():
            _refuse_unknown(code)
        if self.format == "tool_call" and self.tools is None:
            raise ValueError("the format 'tool_call' needs 'tools', a JSON file of function definitions")
        if self.format == "back_translation" and not [code for code in self.to if code != "en"]:
            raise ValueError("the format 'back_translation' needs a language beside English in 'to'")
        self.checked_limits()
        return self

    def quotas(self) -> dict[str, int]:
        """Return how many documents of each language are taken."""
        if isinstance(self.documents, dict):
            return dict(self.documents)
        return dict.fromkeys(self.languages, self.documents)

    def checked_limits(self) -> Limits:
        """Return the format's limits with this set's changes."""
        return load_format(self.format).limits.changed(self.limits)


def _refuse_unknown(code: str) -> None:
    if code not in LANGUAGES:
        raise ValueError(f"'{code}' is none of the languages {', '.join(LANGUAGES)}{nearest(code, LANGUAGES)}")


class GeneratedConfig(Config):
    """All generated sets. ``judge``: who scores what passed every check (None: nobody). ``cache``: the file of replies;
    without one it is ``requests.sqlite`` beside the stage's work folder, where later runs find it.
    """

    generator: EndpointConfig
    judge: EndpointConfig | None = None
    cache: Path | None = Field(None, exclude=True)
    sets: dict[str, GeneratedSet] = Field(min_length=1)

    @field_validator("sets")
    @classmethod
    def _file_names(cls, value: dict[str, GeneratedSet]) -> dict[str, GeneratedSet]:
        for name in value:
            if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii():
                raise ValueError(f"the set '{name}' becomes a file: use letters, digits, - and _")
        return value

    def fingerprint(self) -> dict[str, Any]:
        """Return what the sets are made with besides the configuration: the formats' files, the tools."""
        used = {each.format for each in self.sets.values()} | ({"judge"} if self.judge else set())
        tools = {str(each.tools): files_mark(str(each.tools)) for each in self.sets.values() if each.tools}
        return {"formats": {name: digest_file(FOLDER / f"{name}.yaml") for name in sorted(used)}, "tools": tools}
