"""The bodies of the task routes. ``text`` is one text, or a list of texts that are worked on together."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from smolforge.serve.body import Fields
from smolforge.serve.fields.sampling import Label

MAX_TEXTS = 256
MAX_LABELS = 1000
LabelText = Annotated[str, Field(min_length=1, max_length=512)]
Count = Annotated[int, Field(ge=1, lt=1 << 31)]
Words = Annotated[str, Field(max_length=32_768)]
Texts = str | Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)]


class TaskFields(Fields):
    """What every task has."""

    model: Annotated[str, Field(max_length=512)] | None = None
    text: Texts
    user: Label | None = None


class ClassifyFields(TaskFields):
    """As ``smolforge.tasks.classify.classify``."""

    labels: Annotated[list[LabelText], Field(min_length=2, max_length=MAX_LABELS)]
    multi: bool = False
    instruction: Words | None = None
    descriptions: dict[str, Words] | None = None
    abstain: Annotated[float, Field(ge=0, le=1)] | None = None


class ExtractFields(TaskFields):
    """As ``smolforge.tasks.extract.extract``; ``schema`` is a JSON schema, or the short form ``name, age int``."""

    schema_: Annotated[dict[str, Any] | Annotated[str, Field(max_length=32_768)], Field(alias="schema")]
    instruction: Words | None = None
    think: bool = False
    thinking_budget: Count | None = None
    max_tokens: Count | None = None
    section_tokens: Count | None = None


class SummarizeFields(TaskFields):
    """As ``smolforge.tasks.summarize.summarize``."""

    words: Count | None = None
    sentences: Count | None = None
    tokens: Count | None = None
    language: Label | None = None
    focus: Words | None = None
    think: bool = False
    thinking_budget: Count | None = None
    section_tokens: Count | None = None
