"""Costs: taken from an answer as they are, and added up."""

from __future__ import annotations

import json

from smolforge.engine.job import Timings
from smolforge.generator import Usage
from smolforge.tasks.results import Cost

ONE = Cost(prompt_tokens=10, cached_tokens=4, completion_tokens=3, waited=0.5, prompt=0.25, generation=1.0)
TWO = Cost(prompt_tokens=1, reasoning_tokens=2, drafted_tokens=5, accepted_tokens=4, generation=0.125)


def test_a_cost_keeps_every_count_and_time_of_its_request() -> None:
    assert ONE.usage == Usage(10, 4, 3, 0, 0, 0) and ONE.timings == Timings(0.5, 0.25, 1.0)
    assert Cost.of(ONE) == ONE


def test_costs_add_up_field_by_field_from_nothing() -> None:
    total = sum([ONE, TWO], Cost())
    assert total == ONE + TWO == TWO + ONE
    assert total == Cost(11, 4, 3, 2, 5, 4, 0.5, 0.25, 1.125)


def test_the_json_form_has_the_token_counts_and_the_seconds() -> None:
    found = json.loads(json.dumps(ONE.json()))
    assert found["usage"] == {
        "prompt_tokens": 10, "cached_tokens": 4, "completion_tokens": 3, "reasoning_tokens": 0, "drafted_tokens": 0,
        "accepted_tokens": 0,
    }  # fmt: skip
    assert found["timings"] == {"waited": 0.5, "prompt": 0.25, "generation": 1.0}
