"""Penalties change scores by the formulas they are documented with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from smolforge.engine.history import History, repeats
from smolforge.engine.penalties import Penalties
from smolforge.engine.text_stream import TokenTable
from smolforge.errors import DataError
from smolforge.generator import Sampling
from tests.tasks.small_chat import small_tokenizer

TABLE = TokenTable(small_tokenizer())


def row(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=TABLE.size).astype(np.float32)


def applied(
    sampling: Sampling, prompt: list[int], answer: list[int], logits: NDArray[np.float32]
) -> NDArray[np.float32]:
    history = History(prompt)
    penalties = Penalties(sampling, history, TABLE)
    for token in answer:
        history.append(token)
    assert penalties.active
    return penalties.apply(logits)


def test_without_penalties_nothing_is_active() -> None:
    assert not Penalties(Sampling(temperature=1.0), History([1]), TABLE).active


def test_repetition_penalty_equals_hugging_face() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    prompt, answer, logits = [3, 9, 9, 30], [44, 3], row()
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([[*prompt, *answer]]), torch.from_numpy(logits)[None])
    ours = applied(Sampling(repetition_penalty=1.3), prompt, answer, logits)
    np.testing.assert_allclose(ours, theirs[0].numpy(), rtol=1e-6)


def test_presence_and_frequency_count_the_answer_only() -> None:
    logits = row()
    ours = applied(Sampling(presence_penalty=0.5, frequency_penalty=0.2), [5, 5, 6], [7, 8, 7], logits)
    expected = logits.copy()
    expected[7] -= 0.5 + 0.2 * 2
    expected[8] -= 0.5 + 0.2
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_the_window_forgets_what_lies_before_it() -> None:
    logits = row()
    sampling = Sampling(repetition_penalty=2.0, frequency_penalty=1.0, penalty_window=2)
    changed = np.flatnonzero(applied(sampling, [5, 6], [7, 8, 9], logits) != logits)
    assert changed.tolist() == [8, 9]


def test_logit_bias_is_added_and_may_forbid() -> None:
    logits = row()
    ours = applied(Sampling(logit_bias={4: 2.5, 8: -np.inf}), [1], [], logits)
    assert ours[4] == logits[4] + np.float32(2.5)
    assert ours[8] == -np.inf
    assert np.count_nonzero(ours != logits) == 2


def test_a_bias_on_a_token_the_model_lacks_is_refused() -> None:
    with pytest.raises(DataError, match="logit_bias names token 999999"):
        Penalties(Sampling(logit_bias={999_999: 1.0}), History([1]), TABLE)


def dry_by_definition(sampling: Sampling, tokens: list[int], breakers: frozenset[int]) -> dict[int, float]:
    """Compare every earlier place with the end, token by token."""
    longest: dict[int, int] = {}
    for place in range(len(tokens) - 1):
        n = 0
        while n <= place and tokens[place - n] == tokens[-1 - n] and tokens[-1 - n] not in breakers:
            n += 1
        following = tokens[place + 1]
        longest[following] = max(longest.get(following, 0), n)
    least = sampling.dry_allowed_length
    return {t: sampling.dry_multiplier * sampling.dry_base ** (n - least) for t, n in longest.items() if n >= least}


@pytest.mark.parametrize("seed", range(8))
def test_dry_equals_its_definition(seed: int) -> None:
    sampling = Sampling(dry_multiplier=0.8, dry_allowed_length=2)
    tokens = np.random.default_rng(seed).integers(60, 64, size=40).tolist()
    breakers = TABLE.containing(sampling.dry_breakers)
    if seed % 2:
        tokens[25] = min(breakers)
    logits = row(seed)
    expected = logits.copy()
    for token, penalty in dry_by_definition(sampling, tokens, breakers).items():
        expected[token] -= np.float32(penalty)
    np.testing.assert_allclose(applied(sampling, tokens[:10], tokens[10:], logits), expected, rtol=1e-6)


def test_repeats_yields_the_places_of_ever_longer_common_ends() -> None:
    tokens = np.array([1, 2, 3, 9, 2, 3, 7, 1, 2, 3])
    found = {length: places.tolist() for length, places in repeats(tokens, 5)}
    assert found == {1: [2, 5], 2: [2, 5], 3: [2]}
    assert list(repeats(tokens[:1], 5)) == []


@pytest.mark.parametrize(("base", "multiplier"), [(1e6, 0.8), (1e300, 1e300)])
def test_a_repetition_that_no_number_can_punish_is_punished_by_a_finite_one(base: float, multiplier: float) -> None:
    sampling = Sampling(dry_multiplier=multiplier, dry_base=base, dry_breakers=())
    with np.errstate(all="raise"):
        ours = applied(sampling, [7] * 80, [], row())
    assert np.isfinite(ours).all() and ours[7] < -1e29 and ours.argmin() == 7
