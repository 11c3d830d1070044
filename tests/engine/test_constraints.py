"""Forms hold whatever the model wants; hostile ones are one clear error, soon."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import numpy as np
import pytest

from smolforge.engine import constraints
from smolforge.engine.constraints import DraftingConstraint, GrammarConstraint
from smolforge.engine.decoding import Decoding
from smolforge.errors import ConfigError, DataError
from smolforge.generator import Request, Sampling
from tests.engine.chain_model import TABLE, drive, ids, token

END = token("<|im_end|>")
A_MINUTE = 60.0  # of processor time: far more than it takes, far less than a form that has no end
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "zeta": {"type": "string", "maxLength": 8},
        "alpha": {"type": "integer", "minimum": 1, "maximum": 50},
        "mood": {"enum": ["good", "bad"]},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["zeta", "alpha", "mood", "tags"],
    "additionalProperties": False,
}


def build(kind: constraints.Kind, form: Any, **options: Any) -> GrammarConstraint:
    return constraints.build(TABLE, [END], kind, form, **options)


def answer(kind: constraints.Kind, form: Any, seed: int, **options: Any) -> str:
    """Let a model that knows nothing of the form answer at random."""
    sampling = Sampling(temperature=1.5, seed=seed)
    asked = Request(ids("light"), 400, sampling, frozenset({END}), build(kind, form, **options))
    decoding = Decoding(asked, TABLE)
    drive(decoding)
    assert decoding.finish == "stop"
    return TABLE.text(decoding.tokens)


@pytest.mark.parametrize("seed", range(6))
def test_any_model_answers_in_the_schema_with_keys_in_its_order(seed: int) -> None:
    said = answer("schema", SCHEMA, seed)
    value = json.loads(said)
    assert list(value) == ["zeta", "alpha", "mood", "tags"]
    assert 1 <= value["alpha"] <= 50
    assert value["mood"] in ("good", "bad")
    assert set(value["tags"]) <= {"a", "b"}


@pytest.mark.parametrize(
    ("whitespace", "separators"), [("compact", (",", ":")), ("spaced", (", ", ": "))], ids=["compact", "spaced"]
)
def test_whitespace_is_as_asked(whitespace: str, separators: tuple[str, str]) -> None:
    said = answer("schema", json.dumps(SCHEMA), 3, whitespace=whitespace)
    assert said == json.dumps(json.loads(said), ensure_ascii="\\u" in said, separators=separators)


def test_regex_choices_and_lark_hold_from_start_to_end() -> None:
    assert re.fullmatch(r"[a-c]{3}-\d{2}", answer("regex", r"[a-c]{3}-[0-9]{2}", 1))
    choices = ['light "on"', "light off", "längs\n"]
    assert {answer("choices", choices, seed) for seed in range(12)} <= set(choices)
    assert re.fullmatch(r"turn(on|off)+!", answer("lark", 'start: "turn" word+ "!"\nword: "on" | "off"', 2))


def test_a_choice_that_begins_another_can_be_ended_by_the_model() -> None:
    form = build("choices", ["on", "only"])
    for t in ids("on"):
        form.advance(t)
    assert form.allows(END)
    assert not form.finished
    assert form.mask()[END]


def test_allows_forced_tokens_and_accepted_agree_with_the_mask() -> None:
    form, random = build("schema", SCHEMA), np.random.default_rng(5)
    assert isinstance(form, DraftingConstraint)
    for _ in range(60):
        if form.finished:
            break
        mask, forced = form.mask(), form.forced_tokens()
        assert mask.shape == (TABLE.size,)
        assert np.flatnonzero(mask).tolist() == [t for t in range(TABLE.size) if form.allows(t)]
        if forced:
            assert np.flatnonzero(mask).tolist() == forced[:1]
            assert form.accepted(forced) == len(forced)
        form.advance(int(random.choice(np.flatnonzero(mask))))
    assert form.forced_tokens() == []


def test_tokens_taken_on_trial_are_taken_back() -> None:
    form = build("schema", SCHEMA)
    assert form.forced() == b'{"zeta":"'
    opening = ids('{"zeta":"')
    written = [*opening, *ids('ab"')]
    assert form.try_advance([*written, *ids("}")]) == len(written)
    assert form.forced() == b',"alpha":'
    form.back(len(written))
    assert form.forced() == b'{"zeta":"'
    assert form.try_advance([token("<|im_end|>")]) == 0
    form.back(0)
    assert np.flatnonzero(form.mask()).tolist() == [t for t in range(TABLE.size) if form.allows(t)]


def test_two_constraints_of_one_form_do_not_disturb_each_other() -> None:
    first, second = build("schema", SCHEMA), build("schema", SCHEMA)
    for t in ids('{"zeta":"ab"'):
        first.advance(t)
    assert second.forced() == build("schema", SCHEMA).forced() == b'{"zeta":"'
    assert first.forced() == b',"alpha":'


def test_special_tokens_never_stand_for_text() -> None:
    form = build("regex", ".*")
    assert not form.mask()[list(TABLE.special - {END})].any()
    with pytest.raises(DataError, match="was not allowed"):
        form.advance(token("<think>"))


def test_a_constraint_needs_a_token_that_can_end_it() -> None:
    with pytest.raises(ConfigError, match="no stop token"):
        constraints.build(TABLE, [], "regex", "a")


def nested(levels: int) -> str:
    return '{"type":"array","items":' * levels + '{"type":"string"}' + "}" * levels


def chain(length: int) -> dict[str, Any]:
    return {"$ref": "#/$defs/0", "$defs": {**{str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(length)}}}


HOSTILE: list[tuple[str, constraints.Kind, Any]] = [
    ("regex: 120,001 characters", "regex", "(" * 60_000 + "a" + ")" * 60_000),
    ("regex: regular expression: unclosed group", "regex", "(a"),
    ("regex: .*nest", "regex", "(" * 3000 + "a" + ")" * 3000),
    ("regex: .*backreferences", "regex", r"(a)\1"),
    ("regex: expected a pattern", "regex", ""),
    ("schema: nested deeper|schema: 65 levels|recursion|too deep", "schema", nested(60_000)),
    ("schema: .*levels, the limit is 64", "schema", nested(100)),
    ("schema: 100,000 enum values|schema: .*bytes", "schema", {"enum": [f"value {i}" for i in range(100_000)]}),
    ("schema: 1,001 enum values", "schema", {"enum": list(range(1001))}),
    ("schema: 301 references|schema: 300 references", "schema", chain(300)),
    ("schema: .*does not exist", "schema", {"$ref": "#/$defs/missing"}),
    ("schema: .*http://example.com", "schema", {"$ref": "http://example.com/schema.json"}),
    ("schema: regular expression: unclosed group", "schema", {"type": "string", "pattern": "(("}),
    ("schema: 120,001 characters in a pattern", "schema", {"type": "string", "pattern": "(" * 60_000 + ")" * 60_001}),
    ("schema: .*Unimplemented keys", "schema", {"not": {"type": "string"}}),
    ("schema: .*strin", "schema", {"type": "strin"}),
    ("schema: .*[Uu]nsatisfiable", "schema", {"enum": []}),
    ("schema: not JSON", "schema", '{"type": '),
    ("schema: not JSON", "schema", {"maximum": float("inf")}),
    ("schema: expected an object", "schema", [1]),
    ("choices: expected a list", "choices", ["a", ""]),
    ("choices: 100,000 strings", "choices", [str(i) for i in range(100_000)]),
    ("lark: 300 rules|lark: 301 rules", "lark", "start: r0\n" + "\n".join(f"r{i}: r{i + 1}" for i in range(300))),
    ("lark: .*unknown name", "lark", "start: missing"),
    ("lark: .*nested", "lark", "start: " + "(" * 3000 + '"a"' + ")" * 3000),
]  # fmt: skip


@pytest.mark.parametrize(("message", "kind", "form"), HOSTILE, ids=[f"{k}-{i}" for i, (_, k, _) in enumerate(HOSTILE)])
def test_a_hostile_form_is_one_clear_error(message: str, kind: constraints.Kind, form: Any) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError, match=message) as caught:
        build(kind, form)
    assert time.process_time() - began < A_MINUTE
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [{"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}],
    ids=["itself", "in a circle"],
)
def test_a_schema_that_only_refers_to_itself_ends_in_an_error(form: Any) -> None:
    with pytest.raises((ConfigError, DataError), match=r"schema|constraint"):
        answer("schema", form, 0)


def test_a_recursive_schema_is_fine() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}}, "additionalProperties": False}
    form = build("schema", tree)
    for t in ids('{"left":{"left":{}}}'):
        form.advance(t)
    assert form.finished


def test_a_pattern_that_explodes_ends_in_an_error_soon() -> None:
    began = time.process_time()
    with pytest.raises((ConfigError, DataError), match=r"regex|constraint"):
        answer("regex", "(((a{1000}){1000}){1000}){1000}", 0)
    assert time.process_time() - began < A_MINUTE
