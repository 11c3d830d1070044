"""Choosing a token: greedy takes the lowest of equals, draws follow the distribution and belong to their position."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smolforge.engine.sampler import Noise, best, likeliest, logprobs, sample
from smolforge.errors import DataError
from smolforge.generator import Sampling
from smolforge.model import sampling as reference


def scores(size: int = 12_000, seed: int = 0, scale: float = 3.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).normal(size=size) * scale).astype(np.float32)


def test_greedy_takes_the_lowest_id_among_equals() -> None:
    row = scores()
    row[[700, 90, 11_000]] = 50.0
    assert best(row) == 90


def test_scores_that_are_not_numbers_are_an_error() -> None:
    row = scores()
    row[5] = np.nan
    with pytest.raises(DataError, match="not numbers"):
        best(row)


@pytest.mark.parametrize("scale", [0.5, 3.0, 12.0])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, seed=1),
        Sampling(temperature=0.6, top_p=0.95, seed=2),
        Sampling(temperature=0.8, top_k=40, seed=3),
        Sampling(temperature=1.3, top_k=3000, top_p=0.5, seed=4),
    ],
)
def test_draws_equal_those_of_the_torch_reference(sampling: Sampling, scale: float) -> None:
    noise, stream = Noise(sampling.seed), np.random.Generator(np.random.Philox(sampling.seed))
    for i in range(60):
        row = scores(seed=i, scale=scale)
        assert sample(row, sampling, noise.at(i)) == reference.sample(row, sampling, stream)


def test_noise_of_a_position_does_not_depend_on_what_was_asked_before() -> None:
    late, early = Noise(7), Noise(7)
    assert late.at(200) == [early.at(i) for i in range(201)][200]
    assert Noise(8).at(0) != early.at(0)


def test_min_p_leaves_out_what_is_much_less_likely_than_the_best() -> None:
    row, sampling = scores(300, scale=1.0), Sampling(temperature=1.0, min_p=0.3)
    drawn = {sample(row, sampling, u) for u in np.linspace(0, 0.9999, 2000)}
    assert drawn == set(np.flatnonzero(np.exp(row - row.max()) >= 0.3).tolist())


def test_draws_follow_the_softmax() -> None:
    row, noise = np.array([0.0, 1.0, 2.0, -np.inf, 0.5], dtype=np.float32), Noise(3)
    counts = np.bincount([sample(row, Sampling(temperature=1.0), noise.at(i)) for i in range(4000)], minlength=5)
    expected = np.exp(row) / np.exp(row).sum() * 4000
    assert counts[3] == 0
    assert np.abs(counts - expected).max() < 4 * np.sqrt(1000)  # four standard deviations of the widest


def test_a_draw_at_the_very_end_never_takes_a_forbidden_token() -> None:
    row = np.full(50, -np.inf, dtype=np.float32)
    row[[3, 4]] = [1.0, 0.0]
    for options in ({}, {"top_k": 10}, {"top_p": 0.99999}, {"min_p": 1e-6}):
        assert sample(row, Sampling(temperature=1.0, **options), np.nextafter(1.0, 0.0)) == 4


@pytest.mark.parametrize("temperature", [1e-40, 1e-6])
def test_a_temperature_near_zero_is_greedy(temperature: float) -> None:
    row = scores()
    assert sample(row, Sampling(temperature=temperature), 0.999) == best(row)


@pytest.mark.parametrize("count", [1, 20, 500, 5000])
def test_likeliest_begins_with_the_true_ranking(count: int) -> None:
    weights = np.round(np.exp(scores(seed=4, scale=1.0)), 2)  # rounded: many ties
    ranking = np.argsort(-weights, kind="stable")
    assert likeliest(weights, count)[:count].tolist() == ranking[:count].tolist()


def test_logprobs_are_the_log_softmax_with_the_likeliest_first() -> None:
    row = scores(seed=9)
    exact = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
    found = logprobs(row, 17, 5)
    assert found.token == 17
    assert found.logprob == pytest.approx(exact[17], abs=1e-5)
    assert [token for token, _ in found.top] == np.argsort(-row, kind="stable")[:5].tolist()
    assert [value for _, value in found.top] == pytest.approx(np.sort(exact)[::-1][:5].tolist(), abs=1e-5)
    assert logprobs(row, 17, 0).top == ()
