"""The needle test: does the model give back a value that stands far back in its context?

Input: ``needle_test.docs.jsonl`` (texts and their one right continuation, in several lengths) and a model. Output:
recall per length, with and without YaRN on documents longer than the trained window.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.evaluate.statistics import wilson
from smolforge.generator import Generator, Request
from smolforge.tokens.template import ChatCodec

MARGIN = 4  # tokens beyond the answer's own, for another way to cut it and for what ends it
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
    """A needle, how many tokens its prompt has, what the model wrote, and whether that is the value."""

    needle: Needle
    tokens: int
    text: str
    right: bool


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
                depth = text.rfind(answer) / max(len(text), 1)
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
            found[i] = Recalled(needles[i], len(prompts[i]), text, gives(text, needles[i].answer))
        report(len(part))
    return [found[i] for i in range(len(needles))]


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
            }
        )
    return rows


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
    }
