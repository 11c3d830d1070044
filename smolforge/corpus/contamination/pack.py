"""Benchmarks on this disk, as items with a question, an answer and a passage.

Input: a folder of tables (JSON Lines, CSV, Parquet) as their makers publish them: MMLU, MMLU-Pro, ARC, HellaSwag, PIQA,
WinoGrande, OpenBookQA, CommonsenseQA, BoolQ, SQuAD, RACE, GSM8K, MATH, HumanEval, MBPP, IFEval, TruthfulQA, GPQA,
Belebele and others with such columns. Output: ``Item``s. Nothing is fetched; translations are further benchmarks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smolforge.errors import ConfigError, DataError
from smolforge.store.tables import SUFFIXES, open_table

_PACKED = (".gz", ".zst", ".xz", ".bz2", ".zip", ".tar", ".arrow", ".tsv")
# Names of columns, the first that is there counts. Letter case, blanks and hyphens make no difference.
_QUESTIONS = (
    "premise", "question", "query", "prompt", "problem", "ctx", "goal", "question_stem", "sentence", "instruction",
    "input", "text", "stem",
)  # fmt: skip
_PASSAGES = ("passage", "context", "flores_passage", "support", "article", "story", "document", "background")
_ANSWERS = (
    "answer", "answers", "correct_answer", "best_answer", "solution", "canonical_solution", "code", "target", "output",
    "answerkey", "answer_key", "correct_answer_num", "label", "gold", "answers_spans", "hypothesis", "response",
)  # fmt: skip
_CHOICES = ("choices", "options", "endings", "candidates")
_ONE_CHOICE = re.compile(r"(?:option|choice|sol|ending|mc_answer)_?([1-9a-j])|([a-j])")
_NAMES = ("task_id", "id", "question_id", "unique_id", "ind", "key", "idx")


@dataclass(frozen=True)
class Item:
    """One question of a benchmark. ``name`` finds it again: its own id, or file and row."""

    benchmark: str
    name: str
    question: str
    answer: str = ""
    passage: str = ""
    choices: tuple[str, ...] = ()


def read_pack(folder: Path) -> list[Item]:
    """Return every item below ``folder``. A benchmark is called like the folder in it, or else like the file.

    ConfigError where there is no folder; DataError where there is nothing in it to look for, where a file is packed, or
    where a table has no column that is known as a question: a search for nothing would find nothing.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder of benchmarks")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    for path in files:
        if path.suffix in _PACKED:
            raise DataError(f"{path}: unpack or convert it to one of {', '.join(SUFFIXES)}, or move it away")
    items = [item for path in files if path.suffix in SUFFIXES for item in _read(path, folder)]
    if not items:
        raise DataError(f"{folder}: no questions in it; expected benchmarks as {', '.join(SUFFIXES)} files")
    return items


def _read(path: Path, folder: Path) -> Iterator[Item]:
    inside = path.relative_to(folder)
    benchmark = inside.parts[0] if len(inside.parts) > 1 else inside.stem
    for number, row in enumerate(open_table(path).each(), 1):
        named = {re.sub(r"[\s\-]+", "_", name.strip().lower()): value for name, value in row.items()}
        if isinstance(named.get("question"), Mapping):  # ARC's original files
            named |= {str(name): value for name, value in named.pop("question").items()}
        question = next((named[name] for name in _QUESTIONS if isinstance(named.get(name), str)), None)
        if question is None:
            known = ", ".join(_QUESTIONS)
            raise DataError(f"{path}: row {number}: no question in columns {', '.join(row)} (known names: {known})")
        name = next((str(named[name]) for name in _NAMES if named.get(name) not in (None, "")), "")
        passage = next((named[name] for name in _PASSAGES if isinstance(named.get(name), str)), "")
        choices, first = _choices(named)
        answer = _answer(named, choices, first)
        yield Item(benchmark, f"{inside.as_posix()}:{name or number}", question, answer, passage, tuple(choices))


def _choices(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the texts of the choices and their marks, as far as the row has them."""
    for name in _CHOICES:
        found = row.get(name)
        if isinstance(found, Mapping) and isinstance(found.get("text"), Sequence):
            return [str(text) for text in found["text"]], [str(mark) for mark in found.get("label", ())]
        if isinstance(found, Sequence) and not isinstance(found, str) and len(found):
            if isinstance(found[0], Mapping):
                return [str(c.get("text", "")) for c in found], [str(c.get("label", "")) for c in found]
            return [str(choice) for choice in found], []
    single = {name: match for name in row if (match := _ONE_CHOICE.fullmatch(name)) and isinstance(row[name], str)}
    return [row[name] for name in single], [(m[1] or m[2]) for m in single.values()]


def _answer(row: Mapping[str, Any], choices: Sequence[str], marks: Sequence[str]) -> str:
    """Return the right answer's text, "" where the row has none in words."""
    name = next((name for name in _ANSWERS if row.get(name) not in (None, "", [])), None)
    if name is None:
        return ""
    value = row[name]
    while isinstance(value, Mapping | list):
        if isinstance(value, Mapping):
            value = next((value[key] for key in ("text", "value", "spans", "answer") if value.get(key)), "")
        else:
            value = value[0] if value else ""
    if isinstance(value, bool):
        return ""
    text = str(value).strip()
    if not choices or text in choices:
        return text
    lowered = [mark.lower() for mark in marks]
    if text.lower() in lowered and name != "label":  # a label counts from 0, whatever the columns are called
        return choices[lowered.index(text.lower())]
    place = int(text) if text.isdecimal() else ord(text.upper()) - ord("A") if len(text) == 1 else -1
    return choices[place] if 0 <= place < len(choices) else text
