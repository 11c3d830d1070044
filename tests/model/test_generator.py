"""Batched generation answers as one row alone does, obeys constraints and stops, and scores what the logits say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from smolforge.errors import ConfigError, DataError
from smolforge.generator import Request, Sampling, Thinking
from smolforge.model.config import ModelConfig
from smolforge.model.decoder import Decoder
from smolforge.model.generator import TorchGenerator
from smolforge.model.initialise import initialise

CONFIG = ModelConfig(128, 48, 96, n_layers=4, n_heads=4, n_kv_heads=2, initializer_range=0.2, tie_word_embeddings=False)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return initialise(Decoder(CONFIG), seed=3)


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 128, size=int(random.integers(1, 24))).tolist() for _ in range(count)]


def greedy_by_full_passes(decoder: Decoder, prompt: Sequence[int], count: int) -> list[int]:
    tokens = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            tokens.append(int(decoder.logits(decoder(torch.tensor([tokens]))[0, -1]).argmax()))
    return tokens[len(prompt) :]


class OnlyThese:
    """Allows a fixed list of tokens, one after the other, then anything."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.left = list(tokens)

    def mask(self) -> NDArray[np.bool_] | None:
        if not self.left:
            return None
        mask = np.zeros(128, dtype=bool)
        mask[self.left[0]] = True
        return mask

    def advance(self, token: int) -> None:
        if self.left:
            assert token == self.left.pop(0)


def test_batched_greedy_equals_full_passes_row_by_row(decoder: Decoder) -> None:
    asked = prompts(20)
    answers = TorchGenerator(decoder).generate([Request(p, 12) for p in asked])
    for prompt, answer in zip(asked, answers, strict=True):
        assert answer.tokens == greedy_by_full_passes(decoder, prompt, 12)
        assert answer.finish == "length"


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_greedy_answers_do_not_depend_on_the_batch(decoder: Decoder, rows: int) -> None:
    requests = [Request(p, 16, stop=frozenset(range(8))) for p in prompts(21, seed=1)]
    together = TorchGenerator(decoder).generate(requests)
    assert TorchGenerator(decoder, max_rows=rows).generate(requests) == together
    assert {answer.finish for answer in together} == {"stop", "length"}


def test_exactly_tied_tokens_give_the_lowest_id_in_every_batch(decoder: Decoder) -> None:
    tied = initialise(Decoder(CONFIG), seed=3)
    with torch.no_grad():  # the second half of the head repeats the first: each choice is an exact tie
        assert tied.head is not None
        tied.head.weight[64:] = tied.head.weight[:64]
    requests = [Request(p, 8) for p in prompts(9, seed=2)]
    answers = TorchGenerator(tied).generate(requests)
    assert max(token for answer in answers for token in answer.tokens) < 64
    assert TorchGenerator(tied, max_rows=2).generate(requests) == answers


def test_stop_token_ends_the_answer_and_is_left_out(decoder: Decoder) -> None:
    prompt = [1, 2, 3]
    free = TorchGenerator(decoder).generate([Request(prompt, 10)])[0].tokens
    stopped = TorchGenerator(decoder).generate([Request(prompt, 10, stop=frozenset({free[4]}))])[0]
    assert stopped.finish == "stop"
    assert stopped.tokens == free[: free.index(free[4])]


def test_constraint_holds_from_the_start_or_after_its_token(decoder: Decoder) -> None:
    prompt = [1, 2, 3]
    free = TorchGenerator(decoder).generate([Request(prompt, 10)])[0].tokens
    after = free[3]
    at = free.index(after) + 1
    requests = [
        Request(prompt, 10, constraint=OnlyThese([7, 8, 9])),
        Request(prompt, 10, constraint=OnlyThese([70, 71]), constrain_after=after),
        Request(prompt, 10),
    ]
    first, second, third = (answer.tokens for answer in TorchGenerator(decoder).generate(requests))
    assert first[:3] == [7, 8, 9]
    assert second[: at + 2] == [*free[:at], 70, 71]
    assert third == free


def test_constraint_that_allows_nothing_is_an_error(decoder: Decoder) -> None:
    class Nothing:
        def mask(self) -> NDArray[np.bool_]:
            return np.zeros(128, dtype=bool)

        def advance(self, token: int) -> None: ...

    with pytest.raises(DataError, match="no token is allowed"):
        TorchGenerator(decoder).generate([Request([1], 3, constraint=Nothing())])


def test_sampling_follows_the_seed_and_not_the_batch(decoder: Decoder) -> None:
    requests = [Request([4, 5], 12, Sampling(1.0, top_p=0.9, top_k=50, seed=seed)) for seed in range(8)]
    together = [a.tokens for a in TorchGenerator(decoder).generate(requests)]
    alone = [TorchGenerator(decoder).generate([request])[0].tokens for request in requests]
    assert together == alone
    assert len({tuple(tokens) for tokens in together}) > 4


def test_sampled_frequencies_are_the_probabilities(decoder: Decoder) -> None:
    count = 3000
    requests = [Request([4, 5], 1, Sampling(0.7, seed=seed)) for seed in range(count)]
    drawn = [a.tokens[0] for a in TorchGenerator(decoder, max_rows=1000).generate(requests)]
    with torch.no_grad():
        expected = (decoder.logits(decoder(torch.tensor([[4, 5]]))[0, -1]) / 0.7).softmax(0).numpy()
    found = np.bincount(drawn, minlength=128) / count
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max() / count)
    kept = [Request([4, 5], 1, Sampling(1.0, top_k=3, seed=seed)) for seed in range(200)]
    best = set(np.argsort(-expected)[:3].tolist())
    assert {a.tokens[0] for a in TorchGenerator(decoder).generate(kept)} == best


def test_score_is_the_summed_log_probability(decoder: Decoder) -> None:
    left, right = prompts(9, seed=5), [[*p, 1] for p in prompts(9, seed=6)]
    scores = TorchGenerator(decoder, max_rows=4).score(left, right)
    for prompt, continuation, score in zip(left, right, scores, strict=True):
        tokens = torch.tensor([prompt + continuation])
        with torch.no_grad():
            logprobs = decoder.logits(decoder(tokens))[0].double().log_softmax(-1)
        at = range(len(prompt) - 1, len(prompt) + len(continuation) - 1)
        expected = sum(float(logprobs[i, tokens[0, i + 1]]) for i in at)
        assert score == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("request_", "message"),
    [(Request([], 3), "empty"), (Request([128], 3), "0 … 127"), (Request([1], 4096), "4097 positions")],
)
def test_bad_prompts_are_named(decoder: Decoder, request_: Request, message: str) -> None:
    with pytest.raises(DataError, match=f"request 1: .*{message}"):
        TorchGenerator(decoder).generate([Request([1], 2), request_])


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (Request([1], 4, Sampling(min_p=0.1, logit_bias={3: 1.0})), "min_p, logit_bias"),
        (Request([1], 4, stop_strings=("x",), logprobs=0), "stop_strings, logprobs"),
        (Request([1], 4, thinking=Thinking(5, 6), timeout=1.0), "thinking, timeout"),
    ],
)
def test_what_the_reference_cannot_do_is_refused_by_name(decoder: Decoder, request_: Request, named: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot do {named};"):
        TorchGenerator(decoder).generate([request_])
