"""Branches of a prompt: their rows are those of the whole texts, whatever else runs and however few pages there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from smolforge.engine.branches import Branching
from smolforge.engine.work import Branch, Rows, Stopped
from smolforge.errors import DataError
from tests.engine.scheduler_setup import Setup
from tests.engine.small_model import PAGE, PATIENCE, Writing, greedy, logits_after

PROMPTS = [[1, 2, 3], list(range(16)), [4] * 21, [*range(20), 9]]
BRANCHES = [Branch((5,), (0,)), Branch((5, 6, 7), (1, 2)), Branch(tuple(range(11)), (0, 10)), Branch((8, 8), ())]


class Looking(Branching[list[NDArray[np.float32]]]):
    """Keeps the row after the prompt and every wanted row. ``fails``: raises when it sees the branches."""

    def __init__(self, prompt: Sequence[int], branches: Sequence[Branch], *, fails: bool = False) -> None:
        super().__init__(prompt, max((len(branch.tokens) for branch in branches), default=0))
        self.rows: list[NDArray[np.float32]] = []
        self._asked, self._fails = list(branches), fails

    def begin(self, row: NDArray[np.float32]) -> list[Branch]:
        self.rows.append(row.copy())
        return self._asked

    def look(self, branches: Sequence[Branch], rows: Rows) -> None:
        if self._fails:
            raise ValueError("broken work")
        assert len(rows) == sum(len(branch.wanted) for branch in branches)
        self.rows += [row.copy() for row in rows]

    def result(self) -> list[NDArray[np.float32]]:
        return self.rows


def expected(prompt: Sequence[int], branches: Sequence[Branch] = BRANCHES) -> list[NDArray[np.float32]]:
    looked = [[*prompt, *branch.tokens[: at + 1]] for branch in branches for at in branch.wanted]
    return [logits_after(prompt), *map(logits_after, looked)]


def same(found: list[NDArray[np.float32]], wanted: list[NDArray[np.float32]]) -> bool:
    return len(found) == len(wanted) and all((a == b).all() for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    "limits",
    [{}, {"chunk": 5}, {"running": 1}, {"running": 2, "chunk": 40}, {"looked_at": 1}, {"context": 40, "pages": 13}],
)
def test_rows_do_not_depend_on_company_chunks_or_few_pages(limits: dict[str, int]) -> None:
    made = Setup(**limits)
    for _ in range(2):
        jobs = [made.scheduler.submit(Looking(prompt, BRANCHES)) for prompt in PROMPTS]
        writer = made.scheduler.submit(Writing([1, 2, 3], 12))
        for job, prompt in zip(jobs, PROMPTS, strict=True):
            assert same(job.result(PATIENCE), expected(prompt))
        assert writer.result(PATIENCE) == greedy([1, 2, 3], 12)
    assert made.pages_in_use() == 0
    made.scheduler.close()


def test_a_prompt_and_all_its_branches_take_two_passes() -> None:
    made = Setup()
    made.scheduler.submit(Looking(PROMPTS[3], [Branch((i, i + 1), (1,)) for i in range(40)])).result(PATIENCE)
    assert made.model.calls == 2 and made.model.rows == len(PROMPTS[3]) + 80
    made.scheduler.close()


def test_branches_leave_nothing_behind_in_the_prefix_store() -> None:
    made = Setup()
    made.scheduler.submit(Looking(list(range(3 * PAGE)), BRANCHES)).result(PATIENCE)
    assert made.scheduler.between_steps(lambda: len(made.scheduler.runner.store)) == 0
    made.scheduler.close()


def test_work_that_fails_at_its_branches_ends_alone_and_frees_its_pages() -> None:
    made = Setup()
    bad = made.scheduler.submit(Looking(PROMPTS[2], BRANCHES, fails=True))
    good = made.scheduler.submit(Looking(PROMPTS[2], BRANCHES))
    assert same(good.result(PATIENCE), expected(PROMPTS[2]))
    with pytest.raises(ValueError, match="broken work"):
        bad.result(PATIENCE)
    assert made.pages_in_use() == 0
    made.scheduler.close()


def test_a_pass_that_fails_harms_only_the_work_with_the_branch_at_fault() -> None:
    made = Setup()
    made.model.poison = 42
    bad = made.scheduler.submit(Looking(PROMPTS[0], [Branch((42,), (0,))]))
    good = made.scheduler.submit(Looking(PROMPTS[2], BRANCHES))
    assert same(good.result(PATIENCE), expected(PROMPTS[2]))
    with pytest.raises(RuntimeError, match="poisoned"):
        bad.result(PATIENCE)
    made.scheduler.close()


def test_work_cancelled_between_prompt_and_branches_is_stopped() -> None:
    made = Setup()
    made.hold()
    job = made.scheduler.submit(Looking(PROMPTS[0], BRANCHES))
    assert made.inside.wait(PATIENCE)
    job.cancel()
    made.let_go()
    with pytest.raises(Stopped):
        job.result(PATIENCE)
    assert made.pages_in_use() == 0
    made.scheduler.close()


def test_a_branch_that_cannot_fit_is_refused_at_once() -> None:
    made = Setup(context=40)
    with pytest.raises(DataError, match="positions"):
        made.scheduler.submit(Looking([1] * 35, [Branch((1,) * 6, (5,))]))
    made.scheduler.close()
