"""Requests say what is wrong with them, in one line that names the field and what it may hold."""

from __future__ import annotations

from typing import Any

import pytest

from smolforge.errors import ConfigError
from smolforge.generator import Request, Sampling, Thinking


@pytest.mark.parametrize(
    "field",
    [
        {"temperature": -0.1}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.01}, {"top_k": -1},
        {"seed": -1}, {"min_p": 1.0}, {"repetition_penalty": 0.0}, {"presence_penalty": float("inf")},
        {"penalty_window": 0}, {"dry_multiplier": -1.0}, {"dry_base": 0.5}, {"dry_allowed_length": 0},
        {"dry_breakers": ("",)}, {"logit_bias": {5: float("nan")}}, {"logit_bias": {-1: 1.0}},
    ],
)  # fmt: skip
def test_a_sampling_value_out_of_range_is_refused_by_name(field: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(field))}.* is .*, expected "):
        Sampling(**field)


@pytest.mark.parametrize("field", [{"logprobs": 21}, {"logprobs": -1}, {"timeout": 0.0}, {"stop_strings": ("a", "")}])
def test_a_request_value_out_of_range_is_refused_by_name(field: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(field))):
        Request([1], 4, **field)


def test_thinking_and_constrain_after_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="constrain_after"):
        Request([1], 4, thinking=Thinking(5, 6), constrain_after=6)


def test_a_negative_thinking_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match="thinking budget is -1"):
        Thinking(5, 6, budget=-1)
