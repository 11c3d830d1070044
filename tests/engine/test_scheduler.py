"""Requests share a model without seeing each other: same answers, fair turns, pages given back."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from smolforge.engine.admission import Limits
from smolforge.engine.job import Job
from smolforge.engine.runner import Runner
from smolforge.engine.step import read_prompts
from smolforge.engine.work import Scoring, Warming, Work
from tests.engine.scheduler_setup import PROMPTS, Setup
from tests.engine.small_model import PAGE, PATIENCE, SmallModel, SmallPages, Writing, greedy, logits_after


def test_answers_do_not_depend_on_company_chunks_drafts_or_cache() -> None:
    expected = [greedy(prompt, 12) for prompt in PROMPTS]
    for limits in ({}, {"chunk": 5}, {"running": 1}, {"running": 2, "chunk": 40}):
        for guessed in (False, True):
            made = Setup(**limits)
            for _ in range(2):  # the second time, from the store
                works = [
                    Writing(prompt, 12, guess=[*answer[:4], 0, *answer[5:]] if guessed else ())
                    for prompt, answer in zip(PROMPTS, expected, strict=True)
                ]
                jobs = [made.scheduler.submit(work) for work in works]
                assert [job.result(PATIENCE) for job in jobs] == expected
            assert works[2].cached == 32
            made.scheduler.close()


def test_right_drafts_save_steps(setup: Setup) -> None:
    answer = greedy([1, 2], 24)
    setup.scheduler.submit(Writing([1, 2], 24)).result(PATIENCE)
    plain = setup.model.calls
    setup.scheduler.submit(Writing([1, 2], 24, guess=answer)).result(PATIENCE)
    assert setup.model.calls - plain <= plain // 4


def test_a_prompt_is_computed_once_for_requests_that_come_together(setup: Setup) -> None:
    setup.hold()
    first = setup.scheduler.submit(Writing([9], 1))
    assert setup.inside.wait(PATIENCE)
    prompt = list(range(40))
    jobs = [setup.scheduler.submit(Writing([*prompt, i], 2)) for i in range(4)]
    setup.let_go()
    assert [job.result(PATIENCE) for job in [first, *jobs]][1:] == [greedy([*prompt, i], 2) for i in range(4)]
    assert setup.model.rows < 40 + 4 * (PAGE + 3)


def test_the_next_turn_starts_from_the_answer_before_it(setup: Setup) -> None:
    prompt = list(range(12))
    answer = setup.scheduler.submit(Writing(prompt, 30)).result(PATIENCE)
    turn = Writing([*prompt, *answer, 4, 4], 3)
    setup.scheduler.submit(turn).result(PATIENCE)
    assert turn.cached >= 40


def test_warming_leaves_nothing_to_read(setup: Setup) -> None:
    prompt = list(range(30))
    assert setup.scheduler.submit(Warming(prompt)).result(PATIENCE) == 0
    assert setup.scheduler.submit(Warming(prompt[:24])).result(PATIENCE) == 24
    before = setup.model.rows
    setup.scheduler.submit(Writing([*prompt[:24], 1], 1)).result(PATIENCE)
    assert setup.model.rows - before == 1


def test_scores_are_those_of_the_whole_sequence(setup: Setup) -> None:
    for prompt, continuation in (([1, 2, 3], [4, 5]), (list(range(30)), [6] * 20), ([8], list(range(40)))):
        known = [*prompt, *continuation]
        expected = []
        for at in range(len(prompt), len(known)):
            row = logits_after(known[:at]).astype(np.float64)
            expected.append(row[known[at]] - np.log(np.exp(row).sum()))
        got = setup.scheduler.submit(Scoring(prompt, continuation)).result(PATIENCE)
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_short_request_is_answered_while_a_long_prompt_is_read() -> None:
    made = Setup(pages=256, context=1500, chunk=32)
    made.hold()
    long = made.scheduler.submit(Writing([3] * 1200, 1))
    assert made.inside.wait(PATIENCE)
    short = made.scheduler.submit(Writing([1, 2], 3))
    made.let_go()
    assert short.result(PATIENCE) == greedy([1, 2], 3)
    assert long.result(PATIENCE) == greedy([3] * 1200, 1)
    assert short.ended < long.ended
    made.scheduler.close()


def test_a_long_prompt_gets_on_though_shorter_ones_keep_coming() -> None:
    made = Setup(pages=256, context=1500, chunk=32, running=4)
    long = made.scheduler.submit(Writing([3] * 300, 1))
    others = 0
    while not long.done and others < 400:
        jobs = [made.scheduler.submit(Writing([others % 50, i, *range(30)], 1)) for i in range(3)]
        others += len([job.result(PATIENCE) for job in jobs])
    assert long.done
    made.scheduler.close()


def test_higher_priority_goes_first() -> None:
    made = Setup(running=1)
    made.hold()
    busy = made.scheduler.submit(Writing([1], 1))
    assert made.inside.wait(PATIENCE)
    low, high = made.scheduler.submit(Writing([2], 2)), made.scheduler.submit(Writing([3], 2, priority=1))
    made.let_go()
    for job in (busy, low, high):
        job.result(PATIENCE)
    assert high.ended < low.started
    made.scheduler.close()


def test_where_pages_run_out_jobs_wait_and_answer_the_same() -> None:
    made = Setup(pages=24, context=120)
    prompts = [[i, i + 1, i + 2] for i in range(6)]
    jobs = [made.scheduler.submit(Writing(prompt, 80)) for prompt in prompts]  # 11 pages each in the end
    assert [job.result(PATIENCE) for job in jobs] == [greedy(prompt, 80) for prompt in prompts]
    assert made.pages_in_use() == 0
    made.scheduler.close()


def test_requests_that_share_a_long_prompt_run_together_where_it_fits_only_once() -> None:
    made = Setup(pages=56, context=250)
    prompt = [int(token) for token in np.random.default_rng(1).integers(0, 50, 200)]  # 25 of 56 pages
    made.scheduler.submit(Warming(prompt)).result(PATIENCE)
    made.hold()
    jobs = [made.scheduler.submit(Writing([1], 1))]
    assert made.inside.wait(PATIENCE)
    jobs += [made.scheduler.submit(Writing([*prompt, i], 6)) for i in range(4)]
    made.let_go()
    assert [job.result(PATIENCE) for job in jobs][1:] == [greedy([*prompt, i], 6) for i in range(4)]
    assert jobs[4].started < jobs[1].ended, "the last one began before the first one ended"
    made.scheduler.close()


def test_events_come_in_order_in_threads_and_in_an_event_loop(setup: Setup) -> None:
    expected = " ".join(map(str, greedy([6, 6], 10)))
    assert " ".join(event.text for event in setup.scheduler.submit(Writing([6, 6], 10))) == expected

    async def read() -> list[str]:
        job = setup.scheduler.submit(Writing([6, 6], 10))
        return [event.text async for event in job]

    assert " ".join(asyncio.run(read())) == expected


def test_whatever_comes_and_goes_every_answer_is_right_and_no_page_is_lost() -> None:
    dice = np.random.default_rng(5)
    made = Setup(pages=20, context=90, running=5, chunk=24, waiting=500, prefix_bytes=8 * SmallPages.page_bytes)
    stems = [[int(token) for token in dice.integers(0, 50, 30)] for _ in range(3)]
    jobs = []
    for i in range(150):
        prompt = stems[i % 3][: int(dice.integers(1, 31))] + [int(t) for t in dice.integers(0, 3, dice.integers(0, 4))]
        length = int(dice.integers(1, 40))
        answer = greedy(prompt, length)
        guess = [token if dice.random() < 0.7 else 0 for token in answer]
        work = Writing(prompt, length, guess=guess, priority=int(dice.integers(0, 2)))
        jobs.append((made.scheduler.submit(work), answer))
        if dice.random() < 0.2:
            jobs[int(dice.integers(len(jobs)))][0].cancel()
        if dice.random() < 0.1:
            prompt = stems[i % 3]
            assert made.scheduler.submit(Scoring(prompt, [1, 2])).result(PATIENCE).shape == (2,)
    for job, answer in jobs:
        tokens = job.result(PATIENCE)
        assert tokens == (answer[: len(tokens)] if job.cancelled else answer)
    assert made.pages_in_use() == 0
    pool, store = made.scheduler.runner.pool, made.scheduler.runner.store
    assert made.scheduler.between_steps(store.clear) is None and pool.used == 0
    made.scheduler.close()


def running(*works: Work[Any], pages: int = 64, **limits: Any) -> Runner:
    """Return a runner that has started these works and taken no step."""
    runner = Runner(SmallModel(), SmallPages(pages), 400, Limits(**limits))
    for number, work in enumerate(works):
        runner.start(Job(work, number, lambda: None))
    return runner


def test_a_prompt_that_was_cached_whole_takes_no_part_in_the_step() -> None:
    runner = running(Warming(list(range(24))))
    while runner.running:
        runner.step()
    runner.start(Job(Warming(list(range(24))), 1, lambda: None))
    runner.start(Job(Writing([1], 2), 2, lambda: None))
    shares = runner._plan(list(runner.running))
    assert [share.sequence.work for share in shares] == [s.work for s in runner.running]
    assert len(shares) == 1


def test_the_oldest_is_looked_at_though_shorter_scorings_are_there() -> None:
    limits = Limits(looked_at=8)
    runner = running(Scoring([1], [2] * 300), Scoring([3], [4] * 40), pages=64)
    counts = {sequence.order: count for sequence, count in read_prompts(runner.running, 100, limits)}
    assert counts == {0: 2, 1: 6}
    alone = dict(read_prompts(runner.running[:1], 100, limits))
    assert list(alone.values()) == [8]
