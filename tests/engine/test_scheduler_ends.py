"""Requests that end early, are refused or fail, engines that close or are forked: the others go on, memory is freed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from smolforge.engine.admission import Overloaded
from smolforge.engine.scheduler import Closed
from smolforge.engine.work import Embedding, Scoring, Stopped, Work
from smolforge.errors import DataError
from tests.engine.scheduler_setup import PROMPTS, Setup
from tests.engine.small_model import PATIENCE, Writing, greedy


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
