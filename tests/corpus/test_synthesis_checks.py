"""The verifiers: what each lets pass, what it stops, and that ordinary text does not trip it."""

from __future__ import annotations

import pydoc_data.topics
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.corpus.synthesize import bitext
from smolforge.corpus.synthesize.checks import CHECKS, examine
from smolforge.corpus.synthesize.checks.meta_talk import find_meta_talk
from smolforge.corpus.synthesize.format import format_names, load_format
from smolforge.corpus.synthesize.json_schema import problems
from smolforge.corpus.synthesize.limits import Limits
from smolforge.errors import ConfigError
from tests.corpus.synthesis_candidates import SOURCE, candidate

META_TALK = [
    "Sure, here is the text you asked for: the tower is high.", "Certainly! The tower is high.",
    "Here's a rewritten version of the text:\n\nThe tower", "As an AI language model, I cannot climb towers.",
    "I'm sorry, but I can't help with that.", "The tower is high. Let me know if you need more!",
    "Bien sûr ! Voici la traduction :", "Voici une liste de questions", "Je suis désolé, mais je ne peux pas",
    "En tant qu'IA, je ne monte pas", "¡Claro! Aquí está la lista", "Lo siento, no puedo ayudar",
    "Como modelo de lenguaje",
    "Natürlich! Hier ist die Übersetzung:", "Es tut mir leid, aber das geht nicht", "Als KI-Modell habe ich",
    "Certo! Ecco la traduzione:", "Mi dispiace, non posso", "In quanto modello linguistico", "Claro! Aqui está a lista",
    "Sinto muito, mas não posso", "Como um modelo de linguagem", "بالطبع! إليك الترجمة", "أعتذر، لا أستطيع مساعدتك",
    "بصفتي نموذج لغوي", "当然！以下是翻译：", "抱歉，我无法回答", "作为一个人工智能助手", "Конечно! Вот перевод:",
    "Извините, я не могу", "Как языковая модель, я",
]  # fmt: skip


@pytest.mark.parametrize("text", META_TALK)
def test_refusals_and_talk_about_the_task_are_found_in_nine_languages(text: str) -> None:
    assert find_meta_talk(text)


def test_the_help_pages_of_python_and_plain_prose_are_no_meta_talk() -> None:
    pages = list(pydoc_data.topics.topics.values())
    assert len(pages) > 50
    assert [page[:80] for page in pages if find_meta_talk(page)] == []
    for text in (
        SOURCE, "Sure enough, the light was seen.", "Here the river meets the sea.", "Here is where it began.",
        "La certitude n'est pas de ce monde.", "Claro que el faro es alto.", "Klar ist der Himmel über dem Turm.",
        "Certo è che il faro è alto.",
        "当然可以登上灯塔的人很少。", "Конечно, маяк высокий.", "以下港口有灯塔。",
    ):  # fmt: skip
        assert find_meta_talk(text) is None


def test_a_copy_a_scrap_a_loop_and_another_language_are_rejected_with_evidence() -> None:
    limits = Limits()
    names = ("finished", "length_ratio", "repetition", "copy_rate", "language")
    rewritten = (
        "Aveiro has a lighthouse that took eight years to finish, in 1893. From its lantern, 62 metres above the "
        "beach, ships are warned at a distance of 23 nautical miles. Who wants to see the view can walk up the 271 "
        "steps or take the lift, which was added in 1958; entrance is free on Wednesdays after noon."
    )
    assert examine(candidate(rewritten), names, limits)[0] == {}
    assert set(examine(candidate(SOURCE), names, limits)[0]) == {"copy_rate"}
    assert "finished" in examine(candidate("A tower."), names, limits)[0]
    assert "repetition" in examine(candidate("The tower is high and old. " * 12), names, limits)[0]
    french = "Le phare d'Aveiro a été construit en huit ans et l'on y monte par un escalier de nombreuses marches. "
    evidence, measures = examine(candidate(french * 2), names, limits)
    assert "fr" in evidence["language"]
    assert measures["language_confidence"] > 0.65
    assert examine(candidate(french, language="fr"), ("language",), limits)[0] == {}
    assert "length_ratio" in examine(candidate(rewritten * 5), names, limits)[0]


def test_numbers_and_names_that_the_source_does_not_have_are_invented() -> None:
    check, limits = CHECKS["grounding"], Limits()
    assert check(candidate("It has 271 steps, and 62 metres; it was built from 1885."), limits).fault is None
    assert "'1901'" in str(check(candidate("It was built in 1901 with 271 steps."), limits).fault)
    assert "example.org" in str(check(candidate("See https://example.org/tower for more."), limits).fault)
    assert check(candidate("No number at all."), limits).measures == {"grounding": 1.0}


def test_a_table_has_a_header_a_rule_and_rows_of_one_width() -> None:
    table = "Facts\n\n| year | what |\n|---|---|\n| 1885 | begun |\n| 1893 | done |\n\nWhen was it done? 1893."
    check, limits = CHECKS["table"], Limits()
    assert check(candidate(table), limits).fault is None
    assert check(candidate(table.replace("|---|---|\n", "")), limits).fault
    assert "2 to 3 cells" in str(check(candidate(table.replace("| done |", "| done | now |")), limits).fault)
    assert check(candidate("| a | b |\n|---|---|\n| 1 | 2 |"), limits).fault


TOOL = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "description": "Start a timer.",
        "parameters": {
            "type": "object",
            "properties": {"minutes": {"type": "integer", "minimum": 1}, "name": {"type": "string"}},
            "required": ["minutes"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ([{"name": "set_timer", "arguments": {"minutes": 5, "name": "Tea"}}], None),
        ([{"name": "set_timer", "arguments": {"minutes": 0}}], "not at least 1"),
        ([{"name": "set_timer", "arguments": {"name": "tea"}}], "'minutes' is missing"),
        ([{"name": "set_timer", "arguments": {"minutes": 5, "label": "tea"}}], "no property is called 'label'"),
        ([{"name": "set_timer", "arguments": {"minutes": 5, "name": "coffee"}}], "does not say"),
        ([{"name": "set_alarm", "arguments": {}}], "no tool is called 'set_alarm'"),
        ([], "no call"),
    ],
)
def test_calls_fit_their_schema_and_say_what_was_said(calls: list[dict[str, Any]], words: str | None) -> None:
    asked = candidate(
        "", request="Set a tea timer of five minutes", calls=calls, tools_json=[TOOL], tool_name="set_timer"
    )
    fault = CHECKS["tool_call"](asked, Limits()).fault
    assert fault is None if words is None else words in str(fault)


FRENCH = (
    "Le phare d'Aveiro a été construit entre 1885 et 1893. Il mesure 62 mètres et se dresse sur le sable de la côte ; "
    "sa lumière se voit à 23 milles marins. Un escalier en colimaçon de 271 marches mène à la lanterne, et un "
    "ascenseur y monte depuis 1958. On peut y monter le mercredi après-midi sans rien payer."
)


@pytest.mark.parametrize(
    ("translation", "back", "words"),
    [
        (FRENCH, SOURCE.replace("coast", "shore").replace("Visitors", "People"), None),
        (FRENCH.replace("271", "217"), SOURCE, "numbers 0.83"),
        (FRENCH, "The tower is old, and there are many of them in this country. " * 4, "chrf"),
        (FRENCH[:100], SOURCE, "as long as is usual"),
        (SOURCE.replace("sand", "beach"), SOURCE, "the translation: not the declared language"),
        (FRENCH, FRENCH, "the way back: not the declared language"),
        (SOURCE, SOURCE, "the text itself"),
    ],
)
def test_a_translation_is_held_against_its_text_there_and_back(translation: str, back: str, words: str | None) -> None:
    asked = candidate("", translation=translation, back=back, target_code="fr")
    finding = CHECKS["bitext"](asked, Limits())
    assert finding.fault is None if words is None else words in str(finding.fault)


def test_names_that_stay_as_they_are_and_digits_of_any_script_are_matched() -> None:
    assert bitext.numbers("1,250 of 3.5 and ٤٢") == bitext.numbers("1 250, 3,5, 42")
    assert bitext.names("Use `ls -l` or HTTP2, see https://x.org/a. It is OK.")["https://x.org/a"] == 1
    assert bitext.preserved(bitext.names("HTTP and UTF-8"), bitext.names("HTTP et UTF-16")) == 0.5


def test_chrf_agrees_with_its_definition_at_the_ends_and_in_between() -> None:
    assert bitext.chrf(SOURCE, SOURCE) == 1.0
    assert bitext.chrf("abc", "xyz") == 0.0
    assert bitext.chrf("", "xyz") == 0.0
    # order 1: P = 2/3, R = 2/4; order 2: P = 1/2, R = 1/3; order 3: P = R = 0; order 4 has only the reference
    precision, recall = (2 / 3 + 1 / 2) / 3, (2 / 4 + 1 / 3) / 3
    assert bitext.chrf("abd", "abce") == pytest.approx(5 * precision * recall / (4 * precision + recall))


SCHEMAS: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 2, "exclusiveMaximum": 5},
    {"type": ["string", "null"], "minLength": 1, "maxLength": 2, "pattern": "^a"},
    {"enum": [1, True, "a", None, [1], {"a": 1.0}]},
    {"const": {"a": [1, 2]}},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
    {"type": "object", "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": {"type": "number"}},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
    {"anyOf": [{"type": "integer"}, {"type": "array", "uniqueItems": True}]},
    {"oneOf": [{"type": "number"}, {"minimum": 3}]},
    {"allOf": [{"not": {"type": "string"}}, {"multipleOf": 2}]},
    {"$ref": "#/$defs/list", "$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/list"}}}},
    {"minProperties": 1, "maxProperties": 1},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from([0.5, 2.0, 1.0, "", "a", "ab", "abc", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "ab", "b"]), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SCHEMAS), JSON)
def test_json_schema_says_what_the_reference_validator_says(schema: dict[str, Any], value: Any) -> None:
    fits = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (problems(value, schema) == []) == fits


def test_a_schema_that_cannot_be_checked_is_an_error_and_never_a_pass() -> None:
    for schema in ({"dependentRequired": {}}, {"typ": "string"}, {"type": "text"}, {"$ref": "#/nowhere"}):
        with pytest.raises(ConfigError):
            problems({"a": 1}, schema)


@pytest.mark.parametrize("name", format_names())
def test_every_format_names_checks_that_exist_and_says_what_it_is_for(name: str) -> None:
    format_ = load_format(name)
    assert set(format_.checks) <= set(CHECKS)
    assert {"finished", "meta_talk"} <= set(format_.checks)
    assert format_.about


def test_an_unknown_format_or_limit_is_named_with_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tutorial'"):
        load_format("tutorials")
    with pytest.raises(ValueError, match="copy_rat"):
        Limits().changed({"copy_rat": 0.5})
