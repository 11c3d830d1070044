"""Intervals cover what they claim, tests agree with exact counts, and the rank score reproduces a published chart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smolforge.evaluate.statistics import (
    bootstrap,
    mean_reversed_rank,
    paired_difference,
    ratio_bootstrap,
    wilson,
)


def test_wilson_matches_a_worked_value_and_never_leaves_the_unit_interval() -> None:
    # Newcombe (1998), table I: 15 of 148.
    interval = wilson(15, 148)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.0624, 0.1605)
    for hits, count in [(0, 1), (1, 1), (0, 5000), (5000, 5000), (3, 7)]:
        interval = wilson(hits, count)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_wilson_covers_the_true_rate_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = rng.binomial(60, 0.9, size=2000)
    covered = np.mean([wilson(int(k), 60).low <= 0.9 <= wilson(int(k), 60).high for k in hits])
    assert 0.92 <= covered <= 0.98


def test_wilson_of_nothing_knows_nothing_and_impossible_counts_are_refused() -> None:
    nothing = wilson(0, 0)
    assert math.isnan(nothing.value) and nothing.as_json() == {
        "hits": 0,
        "count": 0,
        "value": None,
        "low": 0.0,
        "high": 1.0,
    }
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


def test_paired_difference_is_antisymmetric_and_uses_only_discordant_pairs_for_the_test() -> None:
    a = [True] * 12 + [False] * 2 + [True] * 30 + [False] * 6
    b = [False] * 12 + [True] * 2 + [True] * 30 + [False] * 6
    forward, backward = paired_difference(a, b), paired_difference(b, a)
    assert forward.difference == pytest.approx(0.2) and backward.difference == pytest.approx(-0.2)
    assert forward.low == pytest.approx(-backward.high) and forward.low > 0
    assert forward.p_value == pytest.approx(2 * (1 + 14 + 91) / 2**14)
    assert paired_difference([True], [True]).p_value == 1.0


def test_bootstrap_brackets_the_mean_and_repeats_for_the_same_seed() -> None:
    scores = np.random.default_rng(1).normal(3.0, 1.0, 400)
    mean, low, high = bootstrap(scores, seed=5)
    assert low < mean < high and (high - low) / 2 == pytest.approx(1.96 / 20, rel=0.2)
    assert bootstrap(scores, seed=5) == (mean, low, high) != bootstrap(scores, seed=6)


def test_ratio_bootstrap_weighs_by_the_denominator() -> None:
    ratio, low, high = ratio_bootstrap([10, 90], [10, 30])
    assert ratio == 2.5 and low == 1.0 and high == 3.0


def test_mean_reversed_rank_reproduces_the_published_smollm3_instruct_chart() -> None:
    models = ["SmolLM3", "Qwen2.5-3B", "Llama3.2-3B", "Qwen3-1.7B", "Qwen3-4B"]
    table = {  # SmolLM3 model card, instruct without extended thinking
        "aime": [9.3, 2.9, 0.3, 8.0, 17.1],
        "gsm-plus": [72.8, 74.1, 59.2, 68.3, 82.1],
        "lcb": [15.2, 10.5, 3.4, 15.0, 24.9],
        "gpqa": [35.7, 32.2, 29.4, 31.8, 44.4],
        "ifeval": [76.7, 65.6, 71.6, 74.0, 68.9],
        "mixeval": [26.9, 27.6, 24.9, 24.3, 31.6],
        "bfcl": [92.3, 0.0, 92.3, 89.5, 95.0],
        "mmlu": [53.5, 50.54, 46.8, 49.5, 65.1],
    }
    ranks = mean_reversed_rank({task: dict(zip(models, row, strict=True)) for task, row in table.items()})
    assert {name: round(value, 2) for name, value in ranks.items()} == {
        "SmolLM3": 3.81,
        "Qwen2.5-3B": 2.5,
        "Llama3.2-3B": 1.69,
        "Qwen3-1.7B": 2.38,
        "Qwen3-4B": 4.62,
    }


def test_mean_reversed_rank_refuses_missing_scores() -> None:
    with pytest.raises(ValueError, match="task 'b'"):
        mean_reversed_rank({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 1.0}})
