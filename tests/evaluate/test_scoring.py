"""What counts as right, and which mistake is named."""

from __future__ import annotations

from typing import Any

import pytest

from smolforge.evaluate.scoring import ToolIndex, call_error, json_parses, mode_obeyed, same_text
from smolforge.tasks.chat import ChatAnswer
from smolforge.tokens.messages import ToolCall, parse_answer

TOOLS = ToolIndex(
    [
        {
            "function": {
                "name": "Set",
                "parameters": {
                    "properties": {
                        "name": {"type": "string", "x-copy": True},
                        "level": {"type": "integer", "minimum": 0, "maximum": 9},
                        "state": {"anyOf": [{"type": "string", "enum": ["on"]}, {"type": "string", "x-copy": True}]},
                        "domain": {"type": "string", "enum": ["light", "fan"]},
                    }
                },
            }
        }
    ]
)


def answer(text: str, finish: Any = "stop") -> ChatAnswer:
    parsed = parse_answer(text)
    return ChatAnswer(parsed.reasoning, parsed.content, parsed.tool_calls, text, [1] * len(text), finish)


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("Set", {"name": "café", "domain": "light"}, None),
        ("Set", {"domain": "light", "name": "cafe\u0301"}, None),
        ("Get", {"name": "café", "domain": "light"}, "wrong_function"),
        ("Set", {"name": "café"}, "wrong_slots"),
        ("Set", {"name": "café", "domain": "fan"}, "wrong_closed_value"),
        ("Set", {"name": "tea", "domain": "fan"}, "wrong_closed_value"),
        ("Set", {"name": "Café", "domain": "light"}, "wrong_copied_value"),
    ],
)
def test_the_first_mistake_is_named(name: str, arguments: dict[str, Any], error: str | None) -> None:
    wanted = ToolCall("Set", {"name": "café", "domain": "light"})
    assert call_error(wanted, ToolCall(name, arguments), TOOLS) == error
    assert call_error(wanted, None, TOOLS) == "no_call"


def test_numbers_compare_by_value_and_true_is_not_one() -> None:
    assert call_error(ToolCall("Set", {"level": 5}), ToolCall("Set", {"level": 5.0}), TOOLS) is None
    assert call_error(ToolCall("Set", {"level": 1}), ToolCall("Set", {"level": True}), TOOLS) == "wrong_closed_value"
    assert call_error(ToolCall("Set", {"level": 5}), ToolCall("Set", {"level": "5"}), TOOLS) == "wrong_closed_value"


@pytest.mark.parametrize(
    ("text", "parses"),
    [
        ('<tool_call>\n{"name": "Set", "arguments": {}}\n</tool_call>', True),
        ('<tool_call>\n{"name": "Set", "arguments": {}\n</tool_call>', False),
        ('<tool_call>\n{"name": "Set", "arguments": {}}', False),
        ('<tool_call>\n{"name": "Set", "arguments": []}\n</tool_call>', False),
        ("turned on", False),
    ],
)
def test_validity_needs_a_closed_block_of_json(text: str, parses: bool) -> None:
    assert json_parses(answer(text)) is parses


@pytest.mark.parametrize(
    ("mode", "text", "finish", "kept"),
    [
        ("no_think", "four", "stop", True),
        ("no_think", "<think>\nhm\n</think>\nfour", "stop", False),
        ("no_think", "", "stop", False),
        ("no_think", "four", "length", False),
        ("think", "<think>\n2 + 2\n</think>\nfour", "stop", True),
        ("think", "<think>\n\n</think>\nfour", "stop", False),
        ("think", "<think>\n2 + 2\n</think>\n", "stop", False),
        ("think", "<think>\n2 + 2", "stop", False),
        ("think", "four", "stop", False),
        ("think", "<think>\na\n</think>\n<think>\nb\n</think>\nc", "stop", False),
    ],
)
def test_a_mode_is_obeyed_only_in_its_exact_shape(mode: str, text: str, finish: str, kept: bool) -> None:
    assert mode_obeyed(mode, answer(text, finish)) is kept


def test_text_answers_forgive_white_space_only() -> None:
    assert same_text("the  kitchen", " the kitchen\n") and not same_text("kitchen", "Kitchen")
