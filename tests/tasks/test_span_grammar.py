"""The span grammar accepts pieces of the text and nothing else, whatever the text and wherever the span stands."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from smolforge.engine.constraint_forms import Whitespace
from smolforge.engine.constraints import GrammarConstraint, build, of_grammar
from smolforge.engine.schema_checks import ENFORCED, canonical
from smolforge.errors import ConfigError
from smolforge.tasks.schema_sketch import meanings, sketch
from smolforge.tasks.source_spans import locate, readings
from smolforge.tasks.span_grammar import chunks, has_spans, span_grammar
from tests.engine.chain_model import TABLE, ids, token

SPAN = {"type": "string", "x-span": True}
TEXT = 'Ann "Nan" Lee\nlives at 4 Elm\\Oak St., Bonn; tel. 0228-41. 北京市 é👩‍👩‍👧 1,200.50'
END = token("<|im_end|>")


def accepts(schema: dict[str, Any], value: Any, text: str = TEXT, whitespace: Whitespace = "spaced") -> bool:
    made = span_grammar(canonical(schema), text, whitespace)
    constraint = of_grammar(TABLE, [END], LLMatcher.grammar_from_lark(made), "schema", patience=20)
    separators = (", ", ": ") if whitespace == "spaced" else (",", ":")
    return _whole(constraint, json.dumps(value, ensure_ascii=False, separators=separators))


def _whole(constraint: GrammarConstraint, written: str) -> bool:
    for one in ids(written):
        if not constraint.allows(one):
            return False
        constraint.advance(one)
    return constraint.finished or bool(constraint.mask()[END])


def an_object(required: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": required}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", True), ("Ann", True), ('Ann "Nan" Lee', True), ('"Nan"', True), ("Lee\nlives", True),
        ("4 Elm\\Oak St", True),
        ("北", True), ("京市", True), ("é👩‍👩‍👧", True), ("0228-41", True), ("St.", True),
        ("An", False), ("nn", False), ("Nan Lee", False), ("ann", False), (" Ann", False), ("Ann ", False),
        (", Bonn", False), ("Bonn;", False), ("\nlives", False), ("Elm Oak", False), ("Bob", False),
    ],
)  # fmt: skip
def test_a_span_is_a_phrase_of_the_text(value: str, expected: bool) -> None:
    schema = an_object(["a"], a=SPAN)
    assert accepts(schema, {"a": value}) is expected
    assert accepts(schema, {"a": value}, whitespace="compact") is expected


def test_spans_keep_to_their_length() -> None:
    for least, most in itertools.product((0, 1, 2, 3), (1, 2, 3, 8)):
        if least <= most:
            schema = an_object(["a"], a={**SPAN, "minLength": least, "maxLength": most})
            for value in ("", "4", "St", "Ann", '"Nan"', "lives at 4 Elm"):
                assert accepts(schema, {"a": value}) is (least <= len(value) <= most), (least, most, value)


@pytest.mark.parametrize("required", [[], ["a"], ["b"], ["c"], ["a", "c"], ["a", "b", "c"]])
def test_fields_that_are_not_required_may_be_left_out(required: list[str]) -> None:
    schema = an_object(required, a=SPAN, b={"type": "integer"}, c={"type": "array", "items": SPAN})
    whole = {"a": "Ann", "b": 3, "c": ["Lee", "Bonn"]}
    for count in range(4):
        for names in itertools.combinations(whole, count):
            assert accepts(schema, {name: whole[name] for name in names}) is all(name in names for name in required)
    assert not accepts(schema, {**whole, "d": 1})
    assert not accepts(schema, dict(reversed(whole.items()))), "keys come in the order of the schema"


def test_spans_stand_in_lists_alternatives_references_and_recursion() -> None:
    parts = {"type": "array", "items": {"$ref": "#/$defs/p"}, "maxItems": 2}
    tree = {
        "$defs": {"p": an_object(["name"], name=SPAN, of=parts)},
        "anyOf": [{"$ref": "#/$defs/p"}, {"type": "null"}],
    }
    assert accepts(tree, {"name": "Ann", "of": [{"name": "Lee"}, {"name": "Bonn", "of": []}]})
    assert accepts(tree, None)
    assert not accepts(tree, {"name": "Ann", "of": [{"name": "Bob"}]})
    assert not accepts(tree, {"name": "Ann", "of": [{"name": "Lee"}] * 3})
    assert has_spans(tree, tree) and not has_spans({"$ref": "#/x", "x": {"$ref": "#/x"}}, {"x": {"$ref": "#/x"}})
    least = an_object(["a"], a={"type": "array", "items": SPAN, "minItems": 2, "maxItems": 3})
    assert [accepts(least, {"a": ["Ann"] * count}) for count in range(5)] == [False, False, True, True, False]


def test_a_number_that_is_a_span_stands_in_the_text() -> None:
    whole = an_object(["n"], n={"type": ["integer", "null"], "x-span": True})
    assert [accepts(whole, {"n": n}) for n in (4, 41, 5, 22, None, 1200)] == [True, True, False, False, True, False]
    assert accepts(an_object(["n"], n={"type": "number", "x-span": True}), {"n": 1200.5})
    bounded = an_object(["n"], n={"type": "integer", "minimum": 10, "x-span": True})
    assert [accepts(bounded, {"n": n}) for n in (4, 41)] == [False, True]
    assert accepts(whole, {"n": 7}, text="no number here"), "there is nothing to copy"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.data())
def test_every_text_can_be_copied_whole_words_at_a_time(text: str, data: st.DataObject) -> None:
    parts = chunks(text)
    assert json.loads('"' + "".join(parts) + '"') == text
    if not parts:
        return
    begin = data.draw(st.integers(0, len(parts) - 1))
    end = data.draw(st.integers(begin + 1, len(parts)))
    value = json.loads('"' + "".join(parts[begin:end]) + '"')
    if value[0].isalnum() and value[-1].isalnum():
        assert accepts(an_object(["a"], a=SPAN), {"a": value}, text)
    field = locate({"a": value}, text)[0]
    if field.start is not None and field.end is not None:
        found = text[field.start : field.end]
        assert found == value or found.casefold().split() == value.casefold().split() or found.lower() == value.lower()


WORDS = sorted(ENFORCED | {"x-span", "title", "maxLenght", "not"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70) | st.floats(allow_nan=False) | st.text(max_size=3)
    | st.sampled_from(["string", "integer", "number", "object", "array", "null", "#", "#/$defs/a", "date", "^a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WORDS, "a"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=5))
def test_any_schema_is_taken_or_refused_and_never_breaks(schema: dict[str, Any]) -> None:
    try:
        made = canonical(schema)
        sketch(schema), meanings(schema)
        if has_spans(made, made):
            of_grammar(TABLE, [END], LLMatcher.grammar_from_lark(span_grammar(made, TEXT, "spaced")), "schema")
        else:
            build(TABLE, [END], "schema", made)
    except ConfigError:
        pass


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1,200", {1200.0, 1.2}), ("1.200,50", {1200.5}), ("1 200", {1200.0}), ("12", {12.0}), ("4.20", {4.2}),
        ("1.200.300", {1200300.0}), ("-3.5", {-3.5, 3.5}), ("٢٠١٥", {2015.0}), ("01", set()), ("0.5", {0.5}),
    ],
)  # fmt: skip
def test_what_a_written_number_may_mean(written: str, expected: set[float]) -> None:
    assert readings(written) == expected


def test_of_several_places_the_one_behind_the_field_before_is_taken() -> None:
    text = "2 x pen at 3.00; 3 x ink at 2.00"
    value = {"items": [{"name": "pen", "count": 2}, {"name": "ink", "count": 3}]}
    places = {field.path: field.start for field in locate(value, text)}
    assert places == {"/items/0/name": 4, "/items/0/count": 0, "/items/1/name": 21, "/items/1/count": 17}
    assert [field.start for field in locate(["a", "a"], "a b a")] == [0, 4]
