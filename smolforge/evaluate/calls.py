"""Function-call accuracy: exact match of the whole call per set, language and decoding, with what went wrong.

Input: a ``CallModel`` and held-out command sets. Output: answer rows for ``answers/*.jsonl`` and their summary.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smolforge.errors import DataError
from smolforge.evaluate.config import CallsConfig
from smolforge.evaluate.items import Item, by_language
from smolforge.evaluate.scoring import ERROR_CLASSES, ToolIndex, call_error, json_parses, mode_obeyed
from smolforge.evaluate.statistics import wilson
from smolforge.tasks.fixed_call import CallAnswer, CallModel, call, follows, last_command

Report = Callable[[int], None]


@dataclass(frozen=True)
class Scored:
    """One item, its answer, and how it was judged; ``error`` is None for an exact match."""

    item: Item
    answer: CallAnswer
    error: str | None
    parses: bool
    mode_obeyed: bool

    def as_row(self) -> dict[str, Any]:
        """Return the row that is kept in the answer file."""
        wanted = self.item.calls[0]
        return {
            "id": self.item.id,
            "language": self.item.language,
            "mode": self.item.mode,
            "command": last_command(self.item.messages),
            "wanted": {"name": wanted.name, "arguments": dict(wanted.arguments)},
            "answer": self.answer.answer.text,
            "correct": self.error is None,
            "error": self.error,
            "json_parses": self.parses,
            "mode_obeyed": self.mode_obeyed,
            "tokens": len(self.answer.answer.tokens),
        }


def answer_calls(
    model: CallModel, items: Sequence[Item], config: CallsConfig, batch: int, report: Report = lambda done: None
) -> dict[str, list[Scored]]:
    """Answer every item in every decoding the configuration names; lists in the order of ``items``.

    Constrained decoding is run only for items whose free answer breaks the constraint: for the others greedy
    decoding under the constraint chooses the same tokens.
    """
    for item in items:
        if len(item.calls) != 1:
            raise DataError(f"{item.id}: expected exactly one wanted call, found {len(item.calls)}")
    free = _decode(model, items, config, batch, constrained=False, report=report)
    found: dict[str, list[CallAnswer]] = {"free": free}
    if "constrained" in config.decoding:
        again = [
            index
            for index, (item, given) in enumerate(zip(items, free, strict=True))
            if not follows(model, last_command(item.messages), item.mode, given.answer)
        ]
        second = _decode(model, [items[i] for i in again], config, batch, constrained=True, report=report)
        replaced = dict(zip(again, second, strict=True))
        found["constrained"] = [replaced.get(index, given) for index, given in enumerate(free)]
    tools = ToolIndex(model.tools)
    return {
        name: [score_call(item, given, tools) for item, given in zip(items, found[name], strict=True)]
        for name in config.decoding
    }


def _decode(
    model: CallModel, items: Sequence[Item], config: CallsConfig, batch: int, *, constrained: bool, report: Report
) -> list[CallAnswer]:
    """Answer in batches of items of like length, and put the answers back in order."""
    order = sorted(range(len(items)), key=lambda i: (items[i].mode, len(items[i].question)))
    answers: dict[int, CallAnswer] = {}
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        thinking = any(items[i].mode == "think" for i in part)
        given = call(
            model,
            [items[i].messages for i in part],
            modes=[items[i].mode for i in part],
            constrained=constrained,
            max_tokens=config.max_tokens + (config.thinking_budget if thinking else 0),
            thinking_budget=config.thinking_budget if constrained and thinking else None,
        )
        answers.update(zip(part, given, strict=True))
        report(len(part))
    return [answers[index] for index in range(len(items))]


def score_call(item: Item, given: CallAnswer, tools: ToolIndex) -> Scored:
    """Judge one answer."""
    error = call_error(item.calls[0], given.call, tools)
    return Scored(item, given, error, json_parses(given.answer), mode_obeyed(item.mode, given.answer))


def summarise(scored: Iterable[Scored]) -> dict[str, Any]:
    """Return exact match with its interval per language, per mode and in total, validity, mode obeyed, error counts."""
    rows = list(scored)
    ids = {row.item.id: row for row in rows}
    languages = {
        language: _exact([ids[item.id] for item in group])
        for language, group in by_language(row.item for row in rows).items()
    }
    modes = {mode: [row for row in rows if row.item.mode == mode] for mode in ("no_think", "think")}
    errors = Counter(row.error for row in rows if row.error is not None)
    return {
        "exact": _exact(rows),
        "languages": languages,
        "modes": {mode: _exact(group) for mode, group in modes.items() if group},
        "json_parses": wilson(sum(row.parses for row in rows), len(rows)).as_json(),
        "mode_obeyed": {
            mode: wilson(sum(row.mode_obeyed for row in group), len(group)).as_json()
            for mode, group in modes.items()
            if group
        },
        "errors": {name: errors.get(name, 0) for name in ERROR_CLASSES},
        "tokens_per_answer": sum(len(row.answer.answer.tokens) for row in rows) / max(len(rows), 1),
    }


def _exact(rows: Sequence[Scored]) -> dict[str, Any]:
    return dict(wilson(sum(row.error is None for row in rows), len(rows)).as_json())


def unreachable(model: CallModel, items: Iterable[Item]) -> list[str]:
    """Return the ids of items whose wanted call the constraint could never produce: defects of data or grammar."""
    return [item.id for item in items if not _reachable(model, item)]


def _reachable(model: CallModel, item: Item) -> bool:
    wanted: Mapping[str, Any] = {"name": item.calls[0].name, "arguments": dict(item.calls[0].arguments)}
    text = f"<tool_call>\n{json.dumps(wanted, ensure_ascii=False)}\n</tool_call>"
    return model.direct.constraint(last_command(item.messages)).accepts(text)
