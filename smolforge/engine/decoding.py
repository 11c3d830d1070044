"""One request's way from logits to events: choose, follow the constraint, split reasoning from answer, stream text.

Input: a ``Request``, the model's ``TokenTable``, and logits as the scheduler computes them. Output: tokens, drafts of
the tokens to come, and events.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smolforge.engine.answer_text import AnswerText
from smolforge.engine.constraints import DraftingConstraint
from smolforge.engine.draft_budget import DraftBudget
from smolforge.engine.drafts import Drafter
from smolforge.engine.history import History
from smolforge.engine.penalties import Penalties
from smolforge.engine.sampler import Noise, best, logprobs, sample
from smolforge.engine.text_stream import TokenTable
from smolforge.engine.thinking import Place, ThinkBlock
from smolforge.errors import DataError
from smolforge.generator import (
    Constraint,
    Event,
    Finish,
    Finished,
    LogprobsDelta,
    Request,
    TokenLogprob,
    Usage,
)

_NEVER = np.float32(-np.inf)


class Decoding:
    """The generated side of one request.

    ``tokens`` are those generated so far, the stop token left out; some are written for the model (the close of a think
    block, even before the first step), so the caller still has to feed them. ``finish`` says why it ended, None while
    it runs. ``cached_tokens`` is the caller's to set. Drafts never change ``tokens``, sampled or greedy.
    """

    def __init__(self, request: Request, table: TokenTable, budget: DraftBudget | None = None) -> None:
        self.request, self.tokens = request, list[int]()
        self.finish: Finish | None = "length" if request.max_tokens <= 0 else None
        self.cached_tokens = 0
        self.logprobs: list[TokenLogprob] = []
        self._last: TokenLogprob | None = None  # of the token that ended the answer
        self._stop: int | str | None = None
        self._history = History(request.prompt)
        self._noise = Noise(request.sampling.seed)
        self._penalties = Penalties(request.sampling, self._history, table)
        self._drafter = Drafter(self._history, table, budget or DraftBudget()) if request.speculate else None
        self._text = AnswerText(request, table)
        self._block = ThinkBlock(request.thinking, once=request.constraint is not None)
        self._drafting = request.constraint if isinstance(request.constraint, DraftingConstraint) else None
        greedy = request.sampling.temperature <= 0 and not self._penalties.active
        self._plain = greedy and request.logprobs is None and not request.stop_strings
        self._begun = request.constrain_after is None
        self._reported = 0
        if self.finish is None:
            self._write_for_model(None)

    def draft(self, room: int, beside: int = 0) -> list[int]:
        """Return at most ``room`` tokens that probably come next, legal under the constraint, and no more than pay.

        ``beside`` is the number of rows the same pass computes for other sequences.
        """
        room = min(room, self.request.max_tokens - len(self.tokens) - 1)
        if self._drafter is None or room <= 0 or self.finish is not None:
            return []
        constraint = self._constraint()
        if constraint is not None and self._drafting is None:
            return []  # its masks can be followed, not foreseen
        return self._drafter.propose(self._drafting if constraint is not None else None, room, beside)

    def take(self, logits: NDArray[np.float32], draft: Sequence[int] = ()) -> list[Event]:
        """Choose tokens from ``logits`` (1 + len(draft), vocab_size): after the last token, and after each drafted one.

        Goes on along the draft as long as the chosen token is the drafted one. DataError where the constraint allows
        nothing or the scores are not numbers; this request cannot go on then, others can.
        """
        assert self.finish is None and len(logits) == 1 + len(draft)
        before = len(self.tokens)
        self._take_sure(logits, draft)
        right = len(self.tokens) - before
        while self.finish is None and right <= len(draft) and self.tokens[before:] == list(draft[:right]):
            self._append(self._choose(logits[right]), logits[right])
            at, right = right, len(self.tokens) - before
            assert self.finish is not None or right > at, "a choice adds a token or ends the answer"
        right = _common(self.tokens[before:], draft)
        if self._drafter is not None:
            self._drafter.settle(right, draft)
        return self._events()

    def end(self, finish: Finish) -> list[Event]:
        """End the request from outside ("cancelled", "timeout"); return its last events."""
        self.finish = self.finish or finish
        return self._events()

    def usage(self) -> Usage:
        """Return the token counts so far."""
        drafted, accepted = (self._drafter.drafted, self._drafter.accepted) if self._drafter is not None else (0, 0)
        counts = len(self.request.prompt), self.cached_tokens, len(self.tokens), self._block.tokens
        return Usage(*counts, drafted, accepted)

    def _take_sure(self, logits: NDArray[np.float32], draft: Sequence[int]) -> None:
        """Take, all at once, the first drafted tokens that have the best score, where only a constraint has a say.

        One by one they would be chosen too: each is allowed and the best of all, allowed or not.
        """
        request, constraint = self.request, self._drafting
        if constraint is None or self._constraint() is None or self._block.may_open or not self._plain:
            return
        sure = list[int]()
        for row, token in zip(logits, draft[: request.max_tokens - len(self.tokens) - 1], strict=False):
            if token in request.stop or int(row.argmax()) != token or row[token] != row[token]:
                break
            sure.append(token)
        taken = constraint.try_advance(sure) if sure else 0
        for token in sure[:taken]:
            self._add(token)
        if taken:
            self._write_for_model(Place.ANSWER)

    def _constraint(self) -> Constraint | None:
        """Return the constraint where it is in force: begun, and outside the think block."""
        return self.request.constraint if self._begun and not self._block.inside else None

    def _choose(self, logits: NDArray[np.float32]) -> int:
        scores = self._penalties.apply(logits) if self._penalties.active else logits
        if self.request.sampling.temperature > 0:
            return sample(self._masked(scores), self.request.sampling, self._noise.at(len(self.tokens)))
        token = best(scores)
        return token if self._allows(token) else best(self._masked(scores))

    def _allows(self, token: int) -> bool:
        """Say whether a token is known to be allowed without computing a mask."""
        constraint = self._constraint()
        if constraint is None or self._block.opens(token):
            return True
        return self._drafting is not None and self._drafting.allows(token)

    def _masked(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores with −inf where the constraint forbids a token."""
        constraint = self._constraint()
        mask = constraint.mask() if constraint is not None else None
        if mask is None:
            return scores
        mask = mask[: len(scores)]
        if not mask.any():
            raise DataError(f"constraint: no token is allowed after {len(self.tokens)} generated tokens")
        masked = np.where(mask, scores, _NEVER)
        if self._block.may_open and self.request.thinking is not None:
            masked[self.request.thinking.open] = scores[self.request.thinking.open]
        return masked

    def _append(self, token: int, logits: NDArray[np.float32]) -> None:
        """Add a chosen token and everything that follows from it."""
        if token in self.request.stop:
            if self._block.inside and self.request.constraint is not None:
                self._close_block()  # an answer of the form that was asked for is still to come
                self._write_for_model(None)
            else:
                self.finish, self._stop = "stop", token
                if self.request.logprobs is not None:
                    self._last = logprobs(logits, token, self.request.logprobs)
            return
        if self.request.logprobs is not None:
            self.logprobs.append(logprobs(logits, token, self.request.logprobs))
        constraint, place = self._constraint(), self._add(token)
        if constraint is not None and place is Place.ANSWER:
            constraint.advance(token)
        self._begun = self._begun or token == self.request.constrain_after
        self._write_for_model(place)

    def _write_for_model(self, place: Place | None) -> None:
        """Write what is not the model's to choose behind a token at ``place``, and see if the answer ends.

        ``place`` is None at the start and behind a block that was closed for the model.
        A block whose budget is spent is closed; behind one the model closed stands what a constraint starts after; what
        a constraint leaves no choice about is written, unless its log-probabilities are wanted.
        """
        thinking = self.request.thinking
        if self._block.spent:
            self._close_block()
        elif thinking is not None and place is Place.MARK and self._constraint() is not None:
            self._write(thinking.after)
        drafting = self._drafting if self._constraint() is not None else None
        if drafting is not None and not self._block.may_open and self.request.logprobs is None:
            self._write_forced(drafting)
        if drafting is not None and drafting.finished:
            self.finish = "stop"
        elif self._text.stopped is not None:
            self.finish, self._stop = "stop", self._text.stopped
        elif len(self.tokens) >= self.request.max_tokens:
            self.finish = "length"

    def _write_forced(self, constraint: DraftingConstraint) -> None:
        for token in constraint.forced_tokens()[: self.request.max_tokens - len(self.tokens)]:
            constraint.advance(token)
            self._add(token)

    def _close_block(self) -> None:
        self._write(self._block.closing())

    def _write(self, tokens: Sequence[int]) -> None:
        """Add tokens the model did not choose, as many as ``max_tokens`` leaves room for."""
        for token in tokens[: self.request.max_tokens - len(self.tokens)]:
            self._add(token)
            if self.request.logprobs is not None:
                self.logprobs.append(TokenLogprob(token, 0.0))

    def _add(self, token: int) -> Place:
        self.tokens.append(token)
        self._history.append(token)
        place = self._block.take(token)
        self._text.push(place, token)
        return place

    def _events(self) -> list[Event]:
        events = self._text.drain(last=self.finish is not None)
        if self._reported < len(self.logprobs):
            events.append(LogprobsDelta(tuple(self.logprobs[self._reported :])))
            self._reported = len(self.logprobs)
        if self.finish is not None:
            events.append(Finished(self.finish, self.usage(), self._stop, self._last))
        return events


def _common(tokens: Sequence[int], draft: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    return next(
        (i for i, (a, b) in enumerate(zip(tokens, draft, strict=False)) if a != b), min(len(tokens), len(draft))
    )
