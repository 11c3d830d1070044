"""Drafts come from the grammar, the prompt and what was said, stay legal, and are cut to what pays."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from smolforge.engine import constraints
from smolforge.engine.decoding import Decoding
from smolforge.engine.draft_budget import Acceptance, DraftBudget, Source
from smolforge.engine.drafts import Drafter
from smolforge.engine.history import History
from smolforge.engine.ngrams import MOST_KNOWN, NGrams
from smolforge.engine.spans import PromptSpans, StringField
from smolforge.generator import Request
from tests.engine.chain_model import TABLE, drive, ids, token, wishing

END = token("<|im_end|>")
LETTER = "Dear Sir, Johann Brand (42) lives in Bad Ischl, works for Alpenblick Holding GmbH. Regards"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "firm": {"type": "string"}, "mood": {"enum": ["positive", "negative"]}},
    "required": ["name", "firm", "mood"],
    "additionalProperties": False,
}
ANSWER = '{"name":"Johann Brand","firm":"Alpenblick Holding GmbH","mood":"positive"}'


class Eager(DraftBudget):
    """Keeps every draft."""

    def keep(self, rates: Sequence[float], beside: int = 0) -> int:
        return len(rates)


def form() -> constraints.GrammarConstraint:
    return constraints.build(TABLE, [END], "schema", SCHEMA)


def proposed(written: str, room: int = 64, prompt: str = LETTER) -> str:
    """Return what is drafted under the schema behind ``written``, as text."""
    history, constraint = History(ids(prompt)), form()
    drafter = Drafter(history, TABLE, Eager())
    for t in ids(written):
        constraint.advance(t)
        history.append(t)
    draft = drafter.propose(constraint, room, 0)
    assert constraint.accepted(draft) == len(draft) <= room
    return TABLE.text(draft)


def test_text_the_grammar_forces_is_drafted_to_its_end() -> None:
    assert proposed("").startswith('{"name":"')
    assert proposed('{"name":"x","firm":"y","mood":"pos').startswith('itive"}')


def test_a_string_is_continued_as_in_the_prompt_and_closed_where_the_passage_ends() -> None:
    assert proposed('{"name":"x","firm":"Alpen') == 'blick Holding GmbH","mood":"'


def test_a_passage_ends_at_punctuation_before_a_space() -> None:
    assert proposed('{"name":"Joh').startswith('ann Brand","firm":"')
    assert proposed('{"name":"x","firm":"Bad Is').startswith('chl","mood":"')


def test_the_end_of_a_string_may_be_found_where_its_beginning_is_not() -> None:
    assert proposed('{"name":"Mr Alpenblick Hol').startswith("ding GmbH")


def test_inside_a_string_that_is_nowhere_in_the_prompt_nothing_is_drafted() -> None:
    assert proposed('{"name":"xyzq') == ""


def test_a_draft_keeps_to_its_room() -> None:
    history = History(ids(LETTER))
    drafter = Drafter(history, TABLE, Eager())
    constraint = form()
    for t in ids('{"name":"Joh'):
        constraint.advance(t)
        history.append(t)
    assert len(drafter.propose(constraint, 5, 0)) == 5


def test_free_text_repeats_what_followed_the_same_tokens() -> None:
    prompt = ids("turn on the kitchen light please; turn on the")
    drafter = Drafter(History(prompt), TABLE, Eager())
    assert drafter.propose(None, 6, 0) == prompt[len(ids("turn on the")) :][:6]
    assert Drafter(History(ids("abcd")), TABLE, Eager()).propose(None, 6, 0) == []


def test_extraction_takes_a_fraction_of_the_passes() -> None:
    prompt = ids(LETTER)
    model = wishing(ids(ANSWER), len(prompt))
    plain = Decoding(Request(prompt, 200, stop=frozenset({END}), constraint=form(), speculate=False), TABLE)
    drafted = Decoding(Request(prompt, 200, stop=frozenset({END}), constraint=form()), TABLE, Eager())
    (_, slow), (_, quick) = drive(plain, model), drive(drafted, model, lambda d: d.draft(32))
    assert plain.tokens == drafted.tokens
    assert json.loads(TABLE.text(drafted.tokens))["firm"] == "Alpenblick Holding GmbH"
    assert quick < slow / 2
    usage = drafted.usage()
    assert usage.accepted_tokens > usage.drafted_tokens / 2


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_string_fields_are_followed_through_escapes_whatever_the_pieces(cut: int) -> None:
    written = json.dumps({'a"b': ["x\\", 'say "hi"', "ü"], "c": 1.5}).encode()
    field = StringField()
    for i in range(0, len(written), cut):
        field.push(written[i : i + cut])
        text = written[: i + cut]
        inside = _inside(text)
        assert (field.value is not None) == inside
    assert field.value is None


def test_a_string_field_knows_where_values_begin() -> None:
    written = b'{"a":"x","b":[1,"y",{"c":2}],"d":true}'
    field, begins = StringField(), []
    for i in range(len(written)):
        if field.begins and written[i : i + 1] != b'"':
            begins.append(written[i : i + 1])
        field.push(written[i : i + 1])
    assert begins == [b"x", b"[", b"1", b"y", b"{", b"2", b"t"]


def _inside(text: bytes) -> bool:
    """Say whether JSON text ends inside a string: its quotes, escaped ones left out, are odd in number."""
    return re.sub(rb"\\.", b"", text).count(b'"') % 2 == 1


def test_of_several_places_the_first_behind_the_last_used_one_is_taken() -> None:
    spans = PromptSpans(b"from Anna Berg, to Anna Lind, and Hanna Moor")
    assert spans.following(b"Anna") == (b" Berg", True, False)
    assert spans.following(b"Anna L") == (b"ind", True, False)
    assert spans.following(b"anna M") is None
    assert PromptSpans(b"Anna Lind; Anna Berg", 9).following(b"Anna") == (b" Berg", True, False), "from there on first"
    assert spans.following(b"xx Moor", (b" Moor",)) == (b"", True, True)


def test_numbers_with_points_are_one_passage() -> None:
    assert PromptSpans(b"costs 12.50 EUR. Total: 99").following(b"costs 1") == (b"2.50 EUR", True, False)


def test_a_longer_run_that_was_said_before_counts_more_than_a_newer_one() -> None:
    said = NGrams((3, 1))
    said.learn([1, 2, 3, 4, 9, 3, 5], 0)
    assert said.following((1, 2, 3)) == (4, 3)
    assert said.following((7, 7, 3)) == (5, 1), "the newest of the same length"
    assert said.following((3,)) == (5, 1)
    assert said.following((8,))[1] == 0


def test_runs_are_learned_across_the_seam_of_what_was_learned_before() -> None:
    said, tokens = NGrams((4, 2)), list(range(20))
    for end in range(0, 21, 5):
        said.learn(tokens[:end], max(0, end - 5))
    assert [said.following(tuple(tokens[i - 4 : i])) for i in range(4, 20)] == [(i, 4) for i in range(4, 20)]


def test_of_what_was_learned_the_oldest_is_forgotten() -> None:
    said = NGrams((1,))
    for begin in range(0, 4 * MOST_KNOWN, MOST_KNOWN):
        said.learn(range(begin, begin + MOST_KNOWN + 2), 0)
    assert said.following((1,))[1] == 0
    assert said.following((4 * MOST_KNOWN,)) == (4 * MOST_KNOWN + 1, 1)


def test_what_is_left_of_a_guess_is_drafted_next_and_dropped_where_the_answer_turns_away() -> None:
    history, constraint, budget = History(ids(LETTER)), form(), Eager()
    drafter = Drafter(history, TABLE, budget)

    def write(tokens: Sequence[int]) -> None:
        for t in tokens:
            constraint.advance(t)
            history.append(t)

    write(ids('{"name":"x","firm":"Alpen'))
    whole = drafter.propose(constraint, 64, 0)
    write(whole[:3])
    assert drafter.propose(constraint, 64, 0)[: len(whole) - 3] == whole[3:]
    write(ids("zz"))
    rest = drafter.propose(constraint, 64, 0)
    assert constraint.accepted(rest) == len(rest)
    assert rest != whole[5:]


class TestBudget:
    """Drafting pays where more rows cost little and guesses are good; otherwise nothing is drafted."""

    def budget(self, seconds: dict[int, float]) -> DraftBudget:
        budget = DraftBudget()
        for rows, cost in list(seconds.items()) * 20:
            budget.observe(rows, cost)
        return budget

    def test_cheap_rows_are_used_and_dear_ones_are_not(self) -> None:
        sure = [0.9] * 8
        assert self.budget({1: 1.0, 9: 1.2}).keep(sure) == 8
        assert self.budget({1: 1.0, 2: 2.0, 9: 9.0}).keep(sure) == 0
        assert self.budget({1: 1.0, 4: 1.1, 5: 4.0, 9: 8.0}).keep(sure) == 3

    def test_bad_guesses_are_not_verified(self) -> None:
        budget = self.budget({1: 1.0, 2: 1.15, 9: 2.0})
        assert budget.keep([0.1] * 8) == 0
        assert 0 < budget.keep([0.9, 0.9, 0.05, 0.05]) <= 2

    def test_after_many_refusals_one_draft_is_tried(self) -> None:
        budget = self.budget({1: 1.0, 2: 5.0})
        kept = [budget.keep([0.9] * 4) for _ in range(200)]
        assert 0 < sum(map(bool, kept)) < 10

    def test_acceptance_follows_what_happens(self) -> None:
        acceptance = Acceptance()
        for _ in range(40):
            acceptance.learn(Source.SHORT, True)
            acceptance.learn(Source.LONG, False)
        assert acceptance[Source.SHORT] > 0.9 > 0.1 > acceptance[Source.LONG]

    def test_many_sequences_beside_make_drafts_dearer(self) -> None:
        costs: dict[int, float] = {rows: 1.0 + 0.2 * rows for rows in range(1, 40)}
        guesses: list[Any] = [0.5, 0.3]
        assert self.budget(costs).keep(guesses, 0) > 0
        assert self.budget(costs).keep(guesses, 20) == 0
