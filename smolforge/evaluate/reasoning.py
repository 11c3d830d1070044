"""The same problems in think and in no_think mode: two accuracies, their paired difference, and what thinking costs.

Input: a ``ChatModel`` and the reasoning test set. Output: answer rows and their summary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from smolforge.evaluate.config import ReasoningConfig
from smolforge.evaluate.items import Item
from smolforge.evaluate.scoring import ToolIndex, call_error, mode_obeyed, same_text
from smolforge.evaluate.statistics import paired_difference, wilson
from smolforge.tasks.chat import ChatAnswer, ChatModel, Turn, chat
from smolforge.tasks.fixed_call import first_call
from smolforge.tokens.messages import Mode

MODES: tuple[Mode, ...] = ("think", "no_think")


def unique_problems(items: Sequence[Item]) -> list[Item]:
    """Return one item per question, the first of each; every question is asked in both modes."""
    return list({item.question: item for item in reversed(items)}.values())[::-1]


def is_right(item: Item, answer: ChatAnswer, tools: ToolIndex) -> bool:
    """Compare with the wanted call where there is one, otherwise with the wanted text."""
    if item.calls:
        return call_error(item.calls[0], first_call(answer), tools) is None
    return same_text(item.content, answer.content)


def compare_modes(
    model: ChatModel,
    problems: Sequence[Item],
    tools: ToolIndex,
    config: ReasoningConfig,
    batch: int,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ask every problem in both modes; return (answer rows, summary)."""
    rows: list[dict[str, Any]] = []
    right: dict[Mode, list[bool]] = {}
    answers: dict[Mode, list[ChatAnswer]] = {}
    for mode in MODES:
        answers[mode] = _ask(model, problems, mode, config, batch, report)
        right[mode] = [is_right(item, a, tools) for item, a in zip(problems, answers[mode], strict=True)]
        for item, answer, correct in zip(problems, answers[mode], right[mode], strict=True):
            rows.append(_row(item, mode, answer, correct))
    summary: dict[str, Any] = {mode: _summary(mode, answers[mode], right[mode]) for mode in MODES}
    if problems:
        summary["difference"] = asdict(paired_difference(right["think"], right["no_think"]))
    summary["kinds"] = _by_kind(problems, right)
    return rows, summary


def _ask(
    model: ChatModel,
    problems: Sequence[Item],
    mode: Mode,
    config: ReasoningConfig,
    batch: int,
    report: Callable[[int], None],
) -> list[ChatAnswer]:
    order = sorted(range(len(problems)), key=lambda i: len(problems[i].question))
    answers: dict[int, ChatAnswer] = {}
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        turns = [Turn(problems[i].messages, mode) for i in part]
        budget = config.thinking_budget if mode == "think" else None
        given = chat(model, turns, max_tokens=config.max_tokens, thinking_budget=budget)
        answers.update(zip(part, given, strict=True))
        report(len(part))
    return [answers[index] for index in range(len(problems))]


def _row(item: Item, mode: Mode, answer: ChatAnswer, correct: bool) -> dict[str, Any]:
    wanted: Any = item.content
    if item.calls:
        wanted = {"name": item.calls[0].name, "arguments": dict(item.calls[0].arguments)}
    return {
        "id": item.id,
        "mode": mode,
        "language": item.language,
        "question": item.messages[-1]["content"],
        "wanted": wanted,
        "answer": answer.text,
        "correct": correct,
        "mode_obeyed": mode_obeyed(mode, answer),
        "tokens": len(answer.tokens),
    }


def _summary(mode: Mode, answers: Sequence[ChatAnswer], right: Sequence[bool]) -> dict[str, Any]:
    obeyed = sum(mode_obeyed(mode, answer) for answer in answers)
    return {
        "exact": wilson(sum(right), len(right)).as_json(),
        "mode_obeyed": wilson(obeyed, len(answers)).as_json(),
        "tokens_per_answer": sum(len(answer.tokens) for answer in answers) / max(len(answers), 1),
    }


def _by_kind(problems: Sequence[Item], right: dict[Mode, list[bool]]) -> dict[str, Any]:
    """Return both accuracies per kind of problem (the item's source)."""
    kinds: dict[str, Any] = {}
    for kind in dict.fromkeys(item.source for item in problems):
        picked = [index for index, item in enumerate(problems) if item.source == kind]
        kinds[kind] = {mode: wilson(sum(right[mode][i] for i in picked), len(picked)).as_json() for mode in MODES}
    return kinds
