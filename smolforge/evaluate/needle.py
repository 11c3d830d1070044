"""The needle test: does the model give back a value that stands far back in its context?

Input: ``needle_test.docs.jsonl`` (texts and their one right continuation, in several lengths) and a model. Output:
recall per length, with and without YaRN on documents longer than the trained window; and, for models too small to
write a long value without a slip, how often the right value is the likeliest of those that the document holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.evaluate.statistics import wilson
from smolforge.generator import Generator, Request
from smolforge.tokens.template import ChatCodec

MARGIN = 4  # tokens beyond the answer's own, for another way to cut it and for what ends it
_FACT = re.compile(r"^(\S+)=(.+)$", re.MULTILINE)
Report = Callable[[int], None]


@dataclass(frozen=True)
class Needle:
    """One document. ``characters`` is the length class it belongs to, ``depth`` where the value stands (0 to 1)."""

    id: str
    language: str
    prompt: str
    answer: str
    characters: int
    depth: float


@dataclass(frozen=True)
class Recalled:
    """A needle, how many tokens its prompt has, what the model wrote, and whether that is the value.

    ``chosen``: whether the value is the likeliest of the document's ``options`` values; None where it holds only one.
    """

    needle: Needle
    tokens: int
    text: str
    right: bool
    chosen: bool | None = None
    options: int = 1


def read_needles(path: Path, per_length: int | None) -> list[Needle]:
    """Read the test; at most ``per_length`` of each length. DataError names the line that is wrong."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; the synthesize stage writes it")
    taken: dict[int, int] = {}
    needles = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                meta = json.loads(row["meta"])
                text, answer = row["text"], meta["answer"]
                depth = max(text.find(f"={answer}\n"), 0) / max(len(text), 1)
                needle = Needle(str(row["doc_id"]), row["language"], text, answer, int(meta["characters"]), depth)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}:{number}: not a needle row ({type(error).__name__}: {error})") from None
            taken[needle.characters] = taken.get(needle.characters, 0) + 1
            if per_length is None or taken[needle.characters] <= per_length:
                needles.append(needle)
    return needles


def recall(
    generator: Generator,
    codec: ChatCodec,
    needles: Sequence[Needle],
    *,
    batch: int,
    report: Report = lambda n: None,
) -> list[Recalled]:
    """Continue every document greedily, just far enough for the value, and compare."""
    prompts = codec.encode_text([needle.prompt for needle in needles])
    answers = codec.encode_text([needle.answer for needle in needles])
    order = sorted(range(len(needles)), key=lambda i: len(prompts[i]))
    found: dict[int, Recalled] = {}
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        requests = [Request(prompts[i], len(answers[i]) + MARGIN, stop=codec.stop) for i in part]
        for i, done in zip(part, generator.generate(requests), strict=True):
            text = codec.decode(done.tokens)
            chosen, options = choose(generator, codec, needles[i], prompts[i])
            right = gives(text, needles[i].answer)
            found[i] = Recalled(needles[i], len(prompts[i]), text, right, chosen, options)
        report(len(part))
    return [found[i] for i in range(len(needles))]


def choose(generator: Generator, codec: ChatCodec, needle: Needle, prompt: Sequence[int]) -> tuple[bool | None, int]:
    """Return whether the right value is the likeliest per token of all ``key=value`` lines, and how many there are."""
    values = sorted({value for _, value in _FACT.findall(needle.prompt)} | {needle.answer.strip()})
    if len(values) < 2:
        return None, len(values)
    continuations = codec.encode_text(values)
    scores = generator.score([prompt] * len(values), continuations)
    mean = [score / len(ids) for score, ids in zip(scores, continuations, strict=True)]
    return values[max(range(len(values)), key=mean.__getitem__)] == needle.answer.strip(), len(values)


def gives(text: str, answer: str) -> bool:
    """Say whether ``text`` begins with the answer and the answer ends there (no letter or digit follows)."""
    text, answer = text.lstrip(), answer.strip()
    return text.startswith(answer) and not text[len(answer) : len(answer) + 1].isalnum()


def longer_than(codec: ChatCodec, needles: Sequence[Needle], window: int) -> list[Needle]:
    """Return the needles whose prompt and answer (with ``MARGIN``) do not fit into ``window`` tokens."""
    encoded = codec.encode_text([needle.prompt + needle.answer for needle in needles])
    return [needle for needle, ids in zip(needles, encoded, strict=True) if len(ids) + MARGIN > window]


def summarise(recalled: Sequence[Recalled], window: int) -> list[dict[str, Any]]:
    """Return one row per length class: characters, mean tokens, tokens relative to the window, recall with interval."""
    rows = []
    for characters in sorted({r.needle.characters for r in recalled}):
        group = [r for r in recalled if r.needle.characters == characters]
        tokens = sum(r.tokens for r in group) / len(group)
        rows.append(
            {
                "characters": characters,
                "tokens": tokens,
                "windows": tokens / window,
                "recall": wilson(sum(r.right for r in group), len(group)).as_json(),
                **_choice(group),
            }
        )
    return rows


def _choice(group: Sequence[Recalled]) -> dict[str, Any]:
    asked = [r for r in group if r.chosen is not None]
    if not asked:
        return {}
    chance = sum(1 / r.options for r in asked) / len(asked)
    return {"choice": wilson(sum(bool(r.chosen) for r in asked), len(asked)).as_json(), "chance": chance}


def as_row(result: Recalled, label: str) -> dict[str, Any]:
    """Return the row that is kept in the answer file."""
    return {
        "id": result.needle.id,
        "language": result.needle.language,
        "characters": result.needle.characters,
        "depth": result.needle.depth,
        "tokens": result.tokens,
        "decoding": label,
        "wanted": result.needle.answer,
        "answer": result.text,
        "correct": result.right,
        "chosen": result.chosen,
        "options": result.options,
    }
