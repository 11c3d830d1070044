"""A decoding gives the same tokens with any draft, follows its constraint, and tells the whole story in events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from smolforge.engine import constraints
from smolforge.engine.decoding import Decoding
from smolforge.engine.draft_budget import DraftBudget
from smolforge.errors import DataError
from smolforge.generator import (
    Event,
    Finished,
    LogprobsDelta,
    ReasoningDelta,
    Request,
    Sampling,
    TextDelta,
    Thinking,
    TokenLogprob,
)
from tests.engine.chain_model import TABLE, drive, ids, logits, nothing, token, wishing

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "light": {"enum": ["kitchen", "hall", "garden"]}},
    "required": ["name", "light"],
    "additionalProperties": False,
}
END = token("<|im_end|>")
OPEN, CLOSE = token("<think>"), token("</think>")
SAMPLINGS = [
    Sampling(),
    Sampling(temperature=1.0, seed=11),
    Sampling(temperature=0.7, top_p=0.9, repetition_penalty=1.2, frequency_penalty=0.3, seed=12),
    Sampling(dry_multiplier=2.0, dry_breakers=("q",)),
]


def text(events: Sequence[Event], kind: type[TextDelta] | type[ReasoningDelta] = TextDelta) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def schema() -> constraints.GrammarConstraint:
    return constraints.build(TABLE, [END], "schema", SCHEMA)


def request(constrained: bool = False, prompt: str = "turn on the hall light of turn", **options: Any) -> Request:
    options.setdefault("stop", frozenset({END}))
    options.setdefault("max_tokens", 60)
    return Request(ids(prompt), constraint=schema() if constrained else None, **options)


class MaskOnly:
    """A constraint that knows no more than the protocol asks."""

    def __init__(self, inner: constraints.GrammarConstraint) -> None:
        self.mask, self.advance = inner.mask, inner.advance


class Eager(DraftBudget):
    """Keeps every draft."""

    def keep(self, rates: Sequence[float], beside: int = 0) -> int:
        return len(rates)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "sampled", "penalized", "dry"])
@pytest.mark.parametrize("constrained", [False, True], ids=["free", "schema"])
def test_any_draft_leaves_the_answer_as_it_is(sampling: Sampling, constrained: bool) -> None:
    plain = Decoding(request(constrained, sampling=sampling, speculate=False), TABLE)
    _, plain_passes = drive(plain)
    random = np.random.default_rng(0)

    def half_right(decoding: Decoding) -> list[int]:
        at, right = len(decoding.tokens), int(random.integers(0, 5))
        return [*plain.tokens[at : at + right], *random.integers(0, TABLE.size, size=2).tolist()]

    for drafts in (None, nothing, half_right):
        drafted = Decoding(request(constrained, sampling=sampling), TABLE, Eager())
        _, passes = drive(drafted, drafts=drafts)
        assert (drafted.tokens, drafted.finish) == (plain.tokens, plain.finish)
        assert passes <= plain_passes
        if drafts is half_right:
            assert passes < plain_passes


@pytest.mark.parametrize("sampling", SAMPLINGS[:2], ids=["greedy", "sampled"])
def test_shortcuts_under_a_constraint_choose_what_masks_choose(sampling: Sampling) -> None:
    wanted = ids('{"name":"turn on","light":"garden"}')
    model = wishing(wanted, len(request().prompt))
    quick, slow = request(True, sampling=sampling), request(True, sampling=sampling)
    slow.constraint = MaskOnly(schema())
    answers = [Decoding(each, TABLE, Eager()) for each in (quick, slow)]
    passes = [drive(decoding, model)[1] for decoding in answers]
    assert answers[0].tokens == answers[1].tokens
    assert TABLE.text(answers[0].tokens) == '{"name":"turn on","light":"garden"}'
    assert passes[0] < passes[1] / 2  # forced tokens cost no pass of their own


@pytest.mark.parametrize("stop_strings", [(), ("on",)], ids=["", "stop-string"])
def test_right_drafts_change_no_answer_whatever_its_limit_and_their_length(stop_strings: tuple[str, ...]) -> None:
    wanted = ids('{"name":"turn on","light":"garden"}')
    model = wishing(wanted, len(request().prompt))
    for limit in range(1, len(wanted) + 2):
        plain = Decoding(request(True, max_tokens=limit, stop_strings=stop_strings, speculate=False), TABLE)
        expected, slow = drive(plain, model)
        for size in (1, 3, 40):
            drafted = Decoding(request(True, max_tokens=limit, stop_strings=stop_strings), TABLE, Eager())
            events, quick = drive(
                drafted,
                model,
                lambda d, size=size, tokens=plain.tokens: [*tokens[len(d.tokens) :][:size], END],  # type: ignore[misc]
            )
            assert (drafted.tokens, drafted.finish) == (plain.tokens, plain.finish)
            assert (text(events), quick <= slow) == (text(expected), True)


def test_a_score_that_is_no_number_is_an_error_at_a_drafted_token_too() -> None:
    decoding = Decoding(request(True), TABLE, Eager())
    allowed = int(np.flatnonzero(schema().mask())[0])
    rows = np.zeros((2, TABLE.size), np.float32)
    rows[0, allowed] = np.nan
    with pytest.raises(DataError, match="not numbers"):
        decoding.take(rows, [allowed])


def test_a_finished_form_ends_the_answer_without_an_end_token() -> None:
    decoding = Decoding(request(True), TABLE)
    events, _ = drive(decoding, wishing(ids('{"name":"a","light":"hall"}'), len(request().prompt)))
    assert decoding.finish == "stop"
    assert text(events) == '{"name":"a","light":"hall"}' == TABLE.text(decoding.tokens)


def test_events_tell_text_finish_and_usage() -> None:
    decoding = Decoding(request(), TABLE)
    decoding.cached_tokens = 3
    wanted = [*ids("light in the hall"), END]
    events, _ = drive(decoding, wishing(wanted, len(request().prompt)))
    last = events[-1]
    assert text(events) == "light in the hall"
    assert isinstance(last, Finished)
    assert (last.finish, last.stop) == ("stop", END)
    assert (last.usage.prompt_tokens, last.usage.cached_tokens) == (len(request().prompt), 3)
    assert last.usage.completion_tokens == len(decoding.tokens) == len(wanted) - 1


def test_a_stop_string_ends_the_text_before_it() -> None:
    decoding = Decoding(request(stop_strings=("the h", "zzz")), TABLE)
    events, _ = drive(decoding, wishing([*ids("light in the hall"), END], len(request().prompt)))
    assert text(events) == "light in "
    assert isinstance(events[-1], Finished)
    assert (events[-1].finish, events[-1].stop) == ("stop", "the h")


def test_length_and_an_end_from_outside_flush_what_was_held_back() -> None:
    short = request(stop_strings=("light!",))
    short.max_tokens = len(ids("hall light"))
    decoding = Decoding(short, TABLE)
    events, _ = drive(decoding, wishing(ids("hall light of"), len(short.prompt)))
    assert (decoding.finish, text(events)) == ("length", "hall light")
    stopped = Decoding(request(stop_strings=("light!",)), TABLE)
    model = wishing(ids("light of"), len(short.prompt))
    events = [*stopped.take(model(short.prompt)[None]), *stopped.end("cancelled")]
    assert isinstance(events[-1], Finished)
    assert events[-1].finish == "cancelled"
    assert text(events) == TABLE.text(stopped.tokens) != ""


def test_logprobs_are_the_models_own_whatever_the_constraint() -> None:
    asked = request(True, logprobs=3)
    decoding = Decoding(asked, TABLE)
    events, _ = drive(decoding)
    told = [entry for event in events if isinstance(event, LogprobsDelta) for entry in event.tokens]
    assert told == decoding.logprobs
    assert [entry.token for entry in told] == decoding.tokens
    for i, entry in enumerate(told):
        row = logits([*asked.prompt, *decoding.tokens[:i]]).astype(np.float64)
        exact = row - np.log(np.exp(row).sum())
        assert entry.logprob == pytest.approx(exact[entry.token], abs=1e-4)
        assert [t for t, _ in entry.top] == np.argsort(-row)[:3].tolist()


def test_a_constraint_that_allows_nothing_is_an_error() -> None:
    class Nothing:
        def mask(self) -> Any:
            return np.zeros(TABLE.size, dtype=bool)

        def advance(self, token: int) -> None: ...

    asked = request()
    asked.constraint = Nothing()
    with pytest.raises(DataError, match="no token is allowed after 0"):
        Decoding(asked, TABLE).take(logits(asked.prompt)[None])


def test_a_constraint_may_wait_for_a_token() -> None:
    asked = request(True)
    asked.constrain_after = token("</tool_call>")
    decoding = Decoding(asked, TABLE)
    wanted = [*ids("hall"), token("</tool_call>"), *ids('{"name":"x","light":"hall"}')]
    drive(decoding, wishing(wanted, len(asked.prompt)))
    assert decoding.tokens == wanted
    assert decoding.finish == "stop"


class TestThinking:
    """Reasoning and answer are told apart by ids; budgets and constraints meet at the close of the block."""

    def think(self, **options: Any) -> Thinking:
        return Thinking(OPEN, CLOSE, **options)

    def run(self, wanted: list[int], **options: Any) -> tuple[Decoding, list[Event]]:
        decoding = Decoding(request(**options), TABLE)
        events, _ = drive(decoding, wishing(wanted, len(request().prompt)))
        return decoding, events

    def test_reasoning_and_answer_are_separate_streams(self) -> None:
        newline = ids("\n")
        wanted = [OPEN, *newline, *ids("the hall"), *newline, CLOSE, *newline, *ids("light on"), END]
        decoding, events = self.run(wanted, thinking=self.think())
        assert text(events, ReasoningDelta) == "the hall"
        assert text(events) == "light on"
        assert decoding.usage().reasoning_tokens == len(ids("the hall")) + 2

    def test_a_block_the_template_opened_needs_no_open(self) -> None:
        _, events = self.run([*ids("the hall"), CLOSE, *ids("on"), END], thinking=self.think(opened=True))
        assert (text(events, ReasoningDelta), text(events)) == ("the hall", "on")

    def test_text_that_spells_the_tags_is_only_text(self) -> None:
        spelled = [t for character in "<think>a</think>" for t in ids(character)]
        assert not {OPEN, CLOSE} & set(spelled)
        _, events = self.run([*spelled, END], thinking=self.think())
        assert (text(events, ReasoningDelta), text(events)) == ("", "<think>a</think>")
        _, events = self.run([OPEN, *spelled, CLOSE, *ids("on"), END], thinking=self.think())
        assert (text(events, ReasoningDelta), text(events)) == ("<think>a</think>", "on")

    def test_a_spent_budget_closes_the_block_with_words_close_and_newline(self) -> None:
        closing, newline = ids("hall."), ids("\n")
        thinking = self.think(budget=3, closing=tuple(closing), after=tuple(newline))
        wanted = [OPEN, *ids("a b c d e f g")]
        decoding, events = self.run(wanted, thinking=thinking)
        assert decoding.tokens[: 4 + len(closing) + 2] == [*wanted[:4], *closing, CLOSE, *newline]
        assert text(events, ReasoningDelta) == TABLE.text([*wanted[1:4], *closing])

    def test_a_budget_of_nothing_closes_before_the_first_step(self) -> None:
        thinking = self.think(opened=True, budget=0, after=tuple(ids("\n")))
        decoding = Decoding(request(thinking=thinking), TABLE)
        assert decoding.tokens == [CLOSE, *ids("\n")]
        events, _ = drive(decoding, wishing([CLOSE, *ids("\n"), *ids("on"), END], len(request().prompt)))
        assert (text(events, ReasoningDelta), text(events)) == ("", "on")

    @pytest.mark.parametrize("budget", [None, 4])
    @pytest.mark.parametrize("opened", [False, True])
    def test_a_constraint_begins_behind_the_block(self, budget: int | None, opened: bool) -> None:
        thinking = self.think(opened=opened, budget=budget, after=tuple(ids("\n")))
        answer = ids('{"name":"on","light":"hall"}')
        wanted = [*([] if opened else [OPEN]), *ids("abcd"), CLOSE, *ids("\n"), *answer]
        decoding, events = self.run(wanted, thinking=thinking, constrained=True)
        assert text(events, ReasoningDelta) == "abcd"
        assert text(events) == '{"name":"on","light":"hall"}'
        assert decoding.finish == "stop"

    def test_under_a_constraint_the_model_need_not_think(self) -> None:
        answer = ids('{"name":"on","light":"hall"}')
        _, events = self.run(answer, thinking=self.think(), constrained=True)
        assert (text(events, ReasoningDelta), text(events)) == ("", '{"name":"on","light":"hall"}')

    def test_the_end_of_turn_inside_a_block_leads_to_the_answer_that_was_asked_for(self) -> None:
        thinking = self.think(opened=True, after=tuple(ids("\n")))
        decoding, events = self.run([*ids("ab"), END], thinking=thinking, constrained=True)
        assert text(events, ReasoningDelta) == "ab"
        assert text(events).startswith('{"name":"')
        free, events = self.run([*ids("ab"), END], thinking=thinking)
        assert (free.finish, text(events)) == ("stop", "")
        assert CLOSE in decoding.tokens

    def test_written_tokens_have_no_logprob_of_their_own(self) -> None:
        thinking = self.think(opened=True, budget=0)
        decoding = Decoding(request(thinking=thinking, logprobs=2), TABLE)
        assert decoding.logprobs == [TokenLogprob(CLOSE, 0.0)]

    def test_written_tokens_stop_at_the_limit(self) -> None:
        asked = request(thinking=self.think(opened=True, budget=2, closing=tuple(ids("abcdefgh"))))
        asked.max_tokens = 5
        decoding = Decoding(asked, TABLE)
        drive(decoding)
        assert (len(decoding.tokens), decoding.finish) == (5, "length")

    @pytest.mark.parametrize("room", [1, 2, 3, 4])
    def test_an_end_of_turn_inside_a_block_keeps_to_the_limit(self, room: int) -> None:
        newline = tuple(ids("\n"))
        asked = request(True, thinking=self.think(opened=True, closing=newline, after=newline))
        asked.max_tokens = room
        decoding = Decoding(asked, TABLE)
        events, _ = drive(decoding, wishing([END] * room, len(asked.prompt)))
        assert (len(decoding.tokens), decoding.finish) == (room, "length")
        assert decoding.tokens[:3] == [*newline, CLOSE, *newline][:room]
        assert isinstance(events[-1], Finished)
