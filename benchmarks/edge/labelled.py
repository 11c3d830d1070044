"""Extraction from labelled documents, free and under constraints: how many answers are valid, how many fields right.

In: an engine and ``labelled.json``. Out: per document, whether the answer fits its schema and which fields are right.
All ways see the same prompt and answer greedily; they differ only in what may be written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from smolforge import Engine
from smolforge.generator import Sampling
from smolforge.tasks.extract import extract_batch
from smolforge.tasks.extract_asking import MAX_TOKENS, start_of_prompt
from smolforge.tasks.schema_forms import read_form, read_schema


@dataclass(frozen=True)
class Document:
    """A text, the short form of its schema (with spans), and the values that are right."""

    text: str
    language: str
    schema: str
    gold: dict[str, Any]

    @property
    def plain(self) -> str:
        """The schema without spans."""
        return self.schema.replace(" span", "")


@dataclass(frozen=True)
class Score:
    """One answer: whether it fits the schema, and whether each field is right (an invalid answer has none right)."""

    valid: bool
    right: tuple[bool, ...]

    @property
    def share(self) -> float:
        return sum(self.right) / len(self.right)


@cache
def documents() -> tuple[Document, ...]:
    """All of them."""
    data = json.loads(Path(__file__).with_name("labelled.json").read_text(encoding="utf-8"))
    rows = data["documents"]
    return tuple(Document(row["text"], row["language"], data["schemas"][row["kind"]], row["gold"]) for row in rows)


def free(engine: Engine, documents: Sequence[Document]) -> list[Any]:
    """Answer without a constraint; the first JSON object in each answer, None where there is none."""
    chats = [
        [*start_of_prompt(read_form(document.plain)), {"role": "user", "content": document.text}]
        for document in documents
    ]
    answers = engine.batch(chats, max_tokens=MAX_TOKENS, sampling=Sampling())
    return [_first_object(answer.text) for answer in answers]


def constrained(engine: Engine, documents: Sequence[Document]) -> list[Any]:
    """Answer under the schema; strings and numbers may be anything."""
    return _extracted(engine, documents, lambda document: document.plain)


def copied(engine: Engine, documents: Sequence[Document]) -> list[Any]:
    """Answer under the schema with its spans: strings and numbers are the text's own."""
    return _extracted(engine, documents, lambda document: document.schema)


Way = Callable[[Engine, Sequence[Document]], list[Any]]
WAYS: dict[str, Way] = {
    "free, then parsed": free,
    "constrained": constrained,
    "constrained, spans": copied,
}


def score(document: Document, value: Any) -> Score:
    """Compare a value with what is right: texts without regard to case and white space, numbers by value."""
    if not Draft202012Validator(read_schema(document.plain)).is_valid(value):
        return Score(False, (False,) * len(document.gold))
    return Score(True, tuple(_same(value[name], gold) for name, gold in document.gold.items()))


def _extracted(engine: Engine, documents: Sequence[Document], schema: Callable[[Document], str]) -> list[Any]:
    values: list[Any] = [None] * len(documents)
    for form in dict.fromkeys(map(schema, documents)):
        chosen = [i for i, document in enumerate(documents) if schema(document) == form]
        found = extract_batch(engine, [documents[i].text for i in chosen], form)
        for i, one in zip(chosen, found, strict=True):
            values[i] = one.value
    return values


def _first_object(text: str) -> Any:
    at = text.find("{")
    try:
        return json.JSONDecoder().raw_decode(text, at)[0] if at >= 0 else None
    except ValueError:
        return None


def _same(value: Any, gold: Any) -> bool:
    if isinstance(gold, str):
        return " ".join(str(value).split()).casefold() == " ".join(gold.split()).casefold()
    return bool(value == gold)
