"""Requests share a model without seeing each other: same answers, fair turns, memory freed, failures kept apart."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from smolforge.engine.admission import Limits, Overloaded
from smolforge.engine.job import Job
from smolforge.engine.runner import Runner
from smolforge.engine.scheduler import Closed, Scheduler
from smolforge.engine.step import read_prompts
from smolforge.engine.work import Embedding, Scoring, Stopped, Warming, Work
from smolforge.errors import DataError
from tests.engine.small_model import PAGE, PATIENCE, SmallModel, SmallPages, Writing, greedy, logits_after

PROMPTS = [[1, 2, 3], list(range(20)), [7] * 33, [*range(20), 9, 9, 9], [5]]


class Setup:
    """A scheduler over the small model; ``hold`` keeps its thread inside a call, the one behind ``calls`` more, until
    ``let_go``."""

    def __init__(self, pages: int = 64, context: int = 200, **limits: Any) -> None:
        self.model, self.memory = SmallModel(), SmallPages(pages)
        self.scheduler = Scheduler(self.model, self.memory, context, Limits(**limits))
        self._gate = threading.Event()
        self.inside = threading.Event()

    def hold(self, calls: int = 0) -> None:
        self._gate.clear()
        self.inside.clear()
        free = self.model.calls + calls

        def wait() -> None:
            if self.model.calls < free:
                return
            self.inside.set()
            assert self._gate.wait(PATIENCE)

        self.model.before_call = wait

    def let_go(self) -> None:
        self.model.before_call = None
        self._gate.set()

    def pages_in_use(self) -> int:
        return self.scheduler.between_steps(lambda: self.scheduler.runner.pool.used - len(self.scheduler.runner.store))


@pytest.fixture
def setup() -> Iterator[Setup]:
    made = Setup()
    yield made
    made.let_go()
    made.scheduler.close()


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


def test_cancelling_frees_pages_at_the_next_step(setup: Setup) -> None:
    setup.hold(calls=1)
    job = setup.scheduler.submit(Writing([1, 2, 3], 190))
    next(iter(job))  # leaving the iteration cancels
    setup.let_go()
    job.result(PATIENCE)
    assert job.work.stopped == "cancelled" and len(job.work.tokens) < 190
    assert setup.pages_in_use() == 0


def test_a_queued_request_can_be_cancelled_and_runs_out_of_time() -> None:
    made = Setup(running=1)
    made.hold()
    busy = made.scheduler.submit(Writing([1], 2))
    assert made.inside.wait(PATIENCE)
    dropped = made.scheduler.submit(Writing([2], 5))
    late = made.scheduler.submit(Writing([3], 5, timeout=0.01))
    dropped.cancel()
    threading.Event().wait(0.05)
    made.let_go()
    assert busy.result(PATIENCE) == greedy([1], 2)
    assert (dropped.result(PATIENCE), late.result(PATIENCE)) == ([], [])
    assert (dropped.work.stopped, late.work.stopped) == ("cancelled", "timeout")
    made.scheduler.close()


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    made = Setup(running=1, waiting=2)
    made.hold()
    jobs = [made.scheduler.submit(Writing([1], 1))]
    assert made.inside.wait(PATIENCE)
    jobs += [made.scheduler.submit(Writing([i], 1)) for i in (2, 3)]
    with pytest.raises(Overloaded, match=r"2 requests are waiting already; try again in \d+ s") as caught:
        made.scheduler.submit(Writing([4], 1))
    assert caught.value.retry_after >= 1
    threading.Timer(0.05, made.let_go).start()
    jobs.append(made.scheduler.submit(Writing([4], 1), block=True))
    assert [job.result(PATIENCE) for job in jobs] == [greedy([i], 1) for i in (1, 2, 3, 4)]
    made.scheduler.close()


def test_a_cancelled_request_takes_no_place_in_the_queue() -> None:
    made = Setup(running=1, waiting=1)
    made.hold()
    first = made.scheduler.submit(Writing([1], 1))
    assert made.inside.wait(PATIENCE)
    made.scheduler.submit(Writing([2], 1)).cancel()
    third = made.scheduler.submit(Writing([3], 1))
    with pytest.raises(Overloaded):
        made.scheduler.submit(Writing([4], 1))
    made.let_go()
    assert [job.result(PATIENCE) for job in (first, third)] == [greedy([i], 1) for i in (1, 3)]
    made.scheduler.close()


def test_what_can_never_fit_is_refused_at_once(setup: Setup) -> None:
    with pytest.raises(DataError, match="take 201 positions, there are 200"):
        setup.scheduler.submit(Writing([1], 200))
    with pytest.raises(DataError, match="empty"):
        setup.scheduler.submit(Writing([], 2))


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


def test_a_request_that_breaks_leaves_the_others_alone(setup: Setup) -> None:
    setup.hold()
    blocker = setup.scheduler.submit(Writing([1], 1))
    assert setup.inside.wait(PATIENCE)
    good = [setup.scheduler.submit(Writing([i], 20)) for i in (2, 3)]
    broken = setup.scheduler.submit(Writing([4], 20, fail_at=5))
    setup.model.poison = 77  # outside the vocabulary: nobody else writes it
    poisoned = setup.scheduler.submit(Writing([77], 20))
    setup.let_go()
    blocker.result(PATIENCE)
    with pytest.raises(ValueError, match="broken request"):
        broken.result(PATIENCE)
    with pytest.raises(RuntimeError, match="poisoned"):
        list(poisoned)
    assert [job.result(PATIENCE) for job in good] == [greedy([i], 20) for i in (2, 3)]
    assert setup.pages_in_use() == 0


def test_a_request_that_cannot_begin_ends_alone(setup: Setup) -> None:
    odd = Writing([4], 5)
    odd.most = 6.5  # type: ignore[assignment]  # no number of places
    with pytest.raises(TypeError):
        setup.scheduler.submit(odd).result(PATIENCE)
    assert setup.scheduler.submit(Writing([2], 3)).result(PATIENCE) == greedy([2], 3)


def test_events_come_in_order_in_threads_and_in_an_event_loop(setup: Setup) -> None:
    expected = " ".join(map(str, greedy([6, 6], 10)))
    assert " ".join(event.text for event in setup.scheduler.submit(Writing([6, 6], 10))) == expected

    async def read() -> list[str]:
        job = setup.scheduler.submit(Writing([6, 6], 10))
        return [event.text async for event in job]

    assert " ".join(asyncio.run(read())) == expected


def test_an_event_loop_that_goes_away_cancels_only_its_own_job(setup: Setup) -> None:
    async def read_one() -> Any:
        job = setup.scheduler.submit(Writing([6, 6], 190))
        async for _ in job:
            break
        return job

    job = asyncio.run(read_one())
    assert setup.scheduler.submit(Writing([1], 5)).result(PATIENCE) == greedy([1], 5)
    assert job._done.wait(PATIENCE)
    assert setup.pages_in_use() == 0


def test_closing_ends_everything_that_waits() -> None:
    made = Setup(running=1, waiting=2)
    made.hold()
    jobs = [made.scheduler.submit(Writing([1], 50))]
    assert made.inside.wait(PATIENCE)
    jobs += [made.scheduler.submit(Writing([i], 50)) for i in (2, 3)]
    closing = threading.Thread(target=made.scheduler.close)
    closing.start()
    with pytest.raises(Closed):  # the queue is full until it closes
        made.scheduler.submit(Writing([4], 1), block=True)
    made.let_go()
    closing.join()
    for job in jobs:
        with pytest.raises(Closed):
            job.result(PATIENCE)
    with pytest.raises(Closed):
        made.scheduler.submit(Writing([1], 1))
    made.scheduler.close()


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


@pytest.mark.parametrize("work", [Scoring([1, 2], [3] * 150), Embedding([3] * 150)], ids=["scoring", "embedding"])
def test_half_a_score_or_embedding_is_no_result(work: Work[Any]) -> None:
    made = Setup(chunk=20)
    made.hold()
    job = made.scheduler.submit(work)
    assert made.inside.wait(PATIENCE)
    job.cancel()
    made.let_go()
    with pytest.raises(Stopped, match="cancelled before the result was complete"):
        job.result(PATIENCE)
    assert made.pages_in_use() == 0
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


def in_a_forked_child(check: Callable[[], None]) -> bool:
    """Whether ``check`` passed in a forked child, which must not run what comes after it here."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            check()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_jobs_of_the_parent_end_in_a_forked_child_and_go_on_in_the_parent(setup: Setup) -> None:
    done = setup.scheduler.submit(Writing([1, 2], 4))
    done.result(PATIENCE)
    setup.hold()
    running, waiting = (setup.scheduler.submit(Writing(prompt, 4)) for prompt in PROMPTS[:2])
    assert setup.inside.wait(PATIENCE)

    def check() -> None:
        for job in (running, waiting):
            with pytest.raises(Closed):
                job.result(PATIENCE)
            with pytest.raises(Closed):
                list(job)
        assert done.result(PATIENCE) == greedy([1, 2], 4)

    assert in_a_forked_child(check)
    setup.let_go()
    assert [running.result(PATIENCE), waiting.result(PATIENCE)] == [greedy(prompt, 4) for prompt in PROMPTS[:2]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_that_the_engine_is_closed(setup: Setup) -> None:
    setup.scheduler.submit(Writing([1, 2], 4)).result(PATIENCE)

    def check() -> None:
        with pytest.raises(Closed):
            setup.scheduler.submit(Writing([1, 2], 4))
        setup.scheduler.close()

    assert in_a_forked_child(check)
    assert setup.scheduler.submit(Writing([1, 2], 4)).result(PATIENCE) == greedy([1, 2], 4), "the parent goes on"
