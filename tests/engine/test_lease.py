"""A lease ends all that was submitted through it, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from smolforge.engine.admission import Limits, Overloaded
from smolforge.engine.lease import Lease
from smolforge.engine.scheduler import Scheduler
from smolforge.engine.work import Stopped
from tests.engine.small_model import PATIENCE, SmallModel, SmallPages, Writing, greedy


@pytest.fixture
def gate() -> threading.Event:
    """Set while the model may compute."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def scheduler(gate: threading.Event) -> Iterator[Scheduler]:
    model = SmallModel()
    model.before_call = lambda: gate.wait(PATIENCE)
    made = Scheduler(model, SmallPages(64), 256, Limits(running=2, waiting=2))  # type: ignore[arg-type]
    yield made
    gate.set()
    made.close()


def test_its_end_cancels_its_own_work_alone(scheduler: Scheduler, gate: threading.Event) -> None:
    gate.clear()
    mine, other = Lease(scheduler, 600), Lease(scheduler, 600)
    ended, kept = mine.submit(Writing([1, 2], 100)), other.submit(Writing([3, 4], 20))
    mine.end()
    gate.set()
    assert kept.result(PATIENCE) == greedy([3, 4], 20)
    ended.result(PATIENCE)
    assert ended.work.stopped == "cancelled" and kept.work.stopped is None
    with pytest.raises(Stopped, match="cancelled"):
        mine.submit(Writing([1], 1))


def test_its_time_is_the_time_of_everything_in_it(scheduler: Scheduler) -> None:
    lease = Lease(scheduler, 600)
    work = Writing([1, 2], 3, timeout=5)
    lease.submit(work).result(PATIENCE)
    assert work.timeout == 5  # a shorter one stays
    late = Lease(scheduler, 0)
    assert late.late and not lease.late
    with pytest.raises(Stopped, match="time"):
        late.submit(Writing([1], 1))


def test_a_full_queue_is_waited_for_while_own_work_runs(scheduler: Scheduler) -> None:
    lease = Lease(scheduler, 600)
    jobs = [lease.submit(Writing([i, 7], 5), block=True) for i in range(1, 12)]
    assert [job.result(PATIENCE) for job in jobs] == [greedy([i, 7], 5) for i in range(1, 12)]


def test_a_queue_full_of_others_refuses(scheduler: Scheduler, gate: threading.Event) -> None:
    gate.clear()
    others = Lease(scheduler, 600)
    with pytest.raises(Overloaded):
        for i in range(8):
            others.submit(Writing([i + 1], 50))
    with pytest.raises(Overloaded):
        Lease(scheduler, 600).submit(Writing([9], 1), block=True)
    others.end()
