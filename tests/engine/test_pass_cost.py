"""The cost of a pass by its rows is learned from noisy times, and follows a machine that becomes slower."""

from __future__ import annotations

import random

import pytest

from smolforge.engine.pass_cost import PassCost

ROWS = [1, 1, 1, 4, 5, 6, 8, 10, 16]


def learned(slow: float = 1.0, noise: float = 0.0, passes: int = 300, known: PassCost | None = None) -> PassCost:
    """Return what is known after many passes of 3 + rows / 2 units, ``slow`` times as long, each disturbed a little."""
    cost, draw = known or PassCost(), random.Random(1)
    for _ in range(passes):
        rows = draw.choice(ROWS)
        cost.observe(rows, slow * (3 + rows / 2) * (1 + noise * draw.random()))
    return cost


@pytest.mark.parametrize("rows", [1, 2, 7, 16, 30])
def test_row_counts_between_and_beyond_the_measured_ones_are_estimated(rows: int) -> None:
    assert learned()[rows] == pytest.approx(3 + rows / 2, rel=0.02)
    assert learned(noise=0.2)[rows] == pytest.approx(1.1 * (3 + rows / 2), rel=0.1)


def test_a_machine_that_slows_down_slows_every_row_count() -> None:
    cost = learned(slow=2.0, passes=150, known=learned())
    assert cost[12] == pytest.approx(18, rel=0.05), "twice what it was, though never measured"


def test_a_row_count_that_is_always_dearer_than_its_neighbours_is_known_for_it() -> None:
    cost = PassCost()
    for _ in range(60):
        for rows in (1, 2, 3, 4, 5, 6):
            cost.observe(rows, 10 + rows + (3 if rows == 5 else 0))
    assert cost[5] > cost[6] > cost[4]


def test_one_disturbed_pass_changes_little() -> None:
    cost = learned()
    before = cost[1]
    cost.observe(1, 100 * before)
    assert cost[1] < 1.3 * before


def test_before_and_after_the_first_measurement_a_row_costs_something() -> None:
    cost = PassCost()
    assert 1 < cost[8] / cost[1] < 8
    cost.observe(1, 0.004)
    assert cost[1] == pytest.approx(0.004, rel=0.2)
    assert 1 < cost[8] / cost[1] < 8
