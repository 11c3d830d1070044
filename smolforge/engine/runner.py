"""The running sequences of one model: plan a step, find its pages, run it, and show everyone their rows.

Input: jobs the scheduler starts. Output: events and ended jobs, and jobs that lost their pages and must wait again.
Nothing here locks or sleeps: the scheduler calls it from one thread, a test from its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Many
from typing import Any

import numpy as np

from smolforge.engine.admission import Limits
from smolforge.engine.draft_budget import DraftBudget
from smolforge.engine.job import Job
from smolforge.engine.kv_pages import OutOfPages, PageMemory, PagePool
from smolforge.engine.prefix_store import PrefixStore
from smolforge.engine.sequence import DRAFT_ROOM, Sequence
from smolforge.engine.step import (
    FEW,
    ForwardModel,
    Pace,
    Share,
    StepArrays,
    branch_share,
    looked_at,
    read_branches,
    read_prompts,
)
from smolforge.engine.work import Rows

MOST_DRAFTED = 32  # tokens a sequence may draft in one step
_NO_ROWS = np.empty((0, 0), np.float32)


class Runner:
    """Sequences over ``memory``'s pages. ``context``: most positions of one; all of them always fit into the pages."""

    def __init__(self, model: ForwardModel, memory: PageMemory, context: int, limits: Limits) -> None:
        self.limits, self.draft_budget = limits, DraftBudget()
        self.pool = PagePool(memory)
        self.store = PrefixStore(self.pool, max(1, min(memory.pages // 2, limits.prefix_bytes // memory.page_bytes)))
        self.context = min(context, memory.pages * memory.page_tokens - DRAFT_ROOM)
        self.running: list[Sequence] = []
        self.steps = self._turns = 0  # a turn in which nothing had to be computed is no step
        self._model = model
        self._paused: dict[int, Sequence] = {}  # without pages, by job number
        self._pace = Pace()
        rows = limits.chunk + limits.running * (FEW + DRAFT_ROOM)
        self._arrays = StepArrays(limits.running, rows, -(-(self.context + DRAFT_ROOM) // memory.page_tokens))

    def fits(self, job: Job[Any]) -> bool:
        """Whether a job's tokens fit into pages that are free or idle in the store, besides what others need next."""
        size, paused = self.pool.page_tokens, self._paused.get(job.number)
        tokens = paused.buffer[: paused.known] if paused is not None else job.work.prompt
        promised = sum(max(0, s.known // size + 1 - len(s.pages)) for s in self.running)
        wanted = len(tokens) // size + 1 + promised + len(self.running)  # and one page for each to grow
        if wanted <= self.pool.free:
            return True
        shared = self.store.match(tokens).nodes
        idle = self.store.idle() - sum(self.pool.references(node.page) == 1 for node in shared)
        return wanted - len(shared) <= self.pool.free + idle

    def start(self, job: Job[Any]) -> None:
        """Let a job run: it takes what the store has of its tokens; the rest is computed from the next step on."""
        job.started = job.started or time.monotonic()
        if job.work.done:
            finish(job)
            return
        try:
            sequence = self._paused.pop(job.number, None) or Sequence(job, self.pool, self.store)
        except Exception as error:  # as for a length that is no number, or no memory for so many tokens
            finish(job, error)
            return
        self.running.append(sequence)
        try:
            sequence.adopt()
            job.work.start(sequence.cached)
        except Exception as error:
            self._end(sequence, error)

    def end_stopped(self, now: float) -> None:
        """End the running jobs that were cancelled or are late (``now``: monotonic seconds), and free their pages."""
        for sequence in [s for s in self.running if s.job.stopped(now)]:
            self._end(sequence)

    def forget(self, job: Job[Any]) -> None:
        """Drop what is kept of a job that lost its pages and will not come back."""
        self._paused.pop(job.number, None)

    def step(self) -> list[Job[Any]]:
        """Plan, run and hand out one step; return the jobs that lost their pages. Only jobs that fail end."""
        hidden = self.running[self._turns % len(self.running)].work.hidden
        self._turns += 1
        planned = self._plan([s for s in self.running if s.work.hidden == hidden])
        shares, paused = self._with_pages(planned)
        if shares:
            self.steps += 1
            try:
                rows = self._run(shares, hidden)
            except Exception as error:
                self._run_alone(shares, hidden, error)
            else:
                self._hand_out(shares, rows)
        return paused

    def _plan(self, sequences: list[Sequence]) -> list[Share]:
        """Give every short sequence its rows and drafts; branches, then readers of long prompts, share a chunk."""
        for sequence in sequences:
            if sequence.missing > 1:
                sequence.adopt_next()
            if not sequence.missing and not sequence.work.branches:
                self._advance(Share(sequence, 0, (), 0), _NO_ROWS)
        sequences = [s for s in sequences if s in self.running]  # what was cached whole has ended
        short = [s for s in sequences if 0 < s.missing <= FEW]
        readers = [s for s in sequences if s.missing > FEW]
        branching = [s for s in sequences if not s.missing]
        parts = [(s, s.missing) for s in short]
        shares: list[Share] = []
        if readers or branching:
            answering = any(s.job.answered for s in short)
            seconds = self.limits.busy_seconds if answering else self.limits.idle_seconds
            budget = self._pace.rows(seconds, self.limits.chunk)
            shares = read_branches(branching, budget, self.limits, alone=not answering)
            if readers and (rest := budget - sum(share.rows for share in shares)) > 0:
                parts += read_prompts(readers, rest, self.limits)
        rows = sum(count for _, count in parts) + sum(share.rows for share in shares)
        for sequence, count in parts:
            shares.append(self._share(sequence, count, rows - count))
            rows += len(shares[-1].draft)
        return shares

    def _share(self, sequence: Sequence, count: int, beside: int) -> Share:
        looked = looked_at(sequence, count)
        draft: Many[int] = ()
        if looked and count == sequence.missing:
            try:
                draft = sequence.work.draft(min(MOST_DRAFTED, self.context - sequence.known), beside)
            except Exception as error:
                self._end(sequence, error)
        return Share(sequence, count, draft, looked + len(draft))

    def _with_pages(self, shares: list[Share]) -> tuple[list[Share], list[Job[Any]]]:
        """Find pages for every share, the most urgent first; when none are left, the least urgent loses its own."""
        paused: list[Job[Any]] = []
        for share in sorted(shares, key=lambda share: _rank(share.sequence)):
            while share.sequence in self.running:
                try:
                    self._grow(share)
                    break
                except OutOfPages:
                    paused.append(self._pause(max(self.running, key=_rank)))
        held = [share for share in shares if share.sequence in self.running]
        return [branch_share(s.sequence, len(s.sequence.branch_pages)) if s.branches else s for s in held], paused

    def _grow(self, share: Share) -> None:
        if share.branches:
            share.sequence.grow_branches(share.branches)
        else:
            share.sequence.grow(share.fed + len(share.draft))

    def _pause(self, sequence: Sequence) -> Job[Any]:
        self.running.remove(sequence)
        sequence.release()
        self._paused[sequence.job.number] = sequence
        return sequence.job

    def _run(self, shares: list[Share], hidden: bool) -> Rows:
        began = time.perf_counter()
        rows = self._arrays.run(self._model, self.pool.memory, shares, hidden=hidden)
        seconds = time.perf_counter() - began
        fed = sum(share.rows for share in shares)
        self._pace.observe(fed, seconds)
        if len(rows) == fed and not hidden:
            self.draft_budget.observe(fed, seconds)
        return rows

    def _run_alone(self, shares: list[Share], hidden: bool, error: Exception) -> None:
        """A step failed: run each of its sequences alone, and end those at fault."""
        if len(shares) == 1:
            self._end(shares[0].sequence, error)
            return
        for share in shares:
            try:
                self._hand_out([share], self._run([share], hidden))
            except Exception as own:
                self._end(share.sequence, own)

    def _hand_out(self, shares: list[Share], rows: Rows) -> None:
        end = 0
        for share in shares:
            begin, end = end, end + share.looked
            self._advance(share, rows[begin:end])

    def _advance(self, share: Share, rows: Rows) -> None:
        """Show a sequence its rows, take its new tokens and events, and end it where it is done or fails."""
        sequence = share.sequence
        try:
            if share.branches:
                sequence.drop_branches()
                sequence.work.take_branches(len(share.branches), rows)
            else:
                self._take(share, rows)
        except Exception as error:
            self._end(sequence, error)
        else:
            if sequence.work.done:
                self._end(sequence)

    def _take(self, share: Share, rows: Rows) -> None:
        sequence, work, job = share.sequence, share.sequence.work, share.sequence.job
        whole = share.fed == sequence.missing
        new, events = work.take(rows, share.draft) if share.looked or whole else ((), [])
        sequence.accept(new, share.fed, share.draft)
        if whole and not job.answered:
            job.answered = time.monotonic()
            sequence.record_tail()
        job.push(events)

    def _end(self, sequence: Sequence, error: Exception | None = None) -> None:
        """Free a sequence's pages and end its job."""
        self.running.remove(sequence)
        sequence.release()
        finish(sequence.job, error)


def finish(job: Job[Any], error: BaseException | None = None) -> None:
    """End a job: with what went wrong, with its result, or (where it is not done) as cancelled or timed out.

    Work that was done before its first step, as where a form leaves one answer, has its events still to tell.
    """
    try:
        if error is None and not (job.work.done and job.answered):
            job.push(job.work.stop("cancelled" if job.cancelled else "timeout"))
    except Exception as problem:
        error = problem
    job.end(error)


def _rank(sequence: Sequence) -> tuple[int, int]:
    return -sequence.work.priority, sequence.order
