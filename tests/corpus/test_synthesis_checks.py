"""The verifiers: what each lets pass, what it stops, and that ordinary text does not trip it."""

from __future__ import annotations

import ctypes
import os
import pydoc_data.topics
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.corpus.document import Document
from smolforge.corpus.synthesize import bitext
from smolforge.corpus.synthesize.candidate import Candidate
from smolforge.corpus.synthesize.checks import CHECKS, examine
from smolforge.corpus.synthesize.checks.meta_talk import find_meta_talk
from smolforge.corpus.synthesize.equations import equations, number_in
from smolforge.corpus.synthesize.format import format_names, load_format
from smolforge.corpus.synthesize.json_schema import problems
from smolforge.corpus.synthesize.limits import Limits
from smolforge.corpus.synthesize.sandbox import run_python
from smolforge.corpus.synthesize.voting import majority, normalised, thoughts_and_answer
from smolforge.errors import ConfigError

SOURCE = (
    "The lighthouse of Aveiro was built between 1885 and 1893. It is 62 metres high and stands on the sand of the "
    "coast; its light is seen 23 nautical miles out at sea. A spiral stair of 271 steps leads to the lantern, and a "
    "lift has gone up beside it since 1958. Visitors may climb it on Wednesday afternoons without paying anything."
)


def candidate(text: str, language: str = "en", source: str = SOURCE, **values: Any) -> Candidate:
    document = Document.make(source, url="u", source="s", licence="CC0-1.0", language=language)
    votes = values.pop("votes", None)
    return Candidate(document, values, text, votes=votes)


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 7", "so the total is 3 × 4 + 1 = 13.", "12 apples − 5 apples = 7 apples", "20% of 50 = 10",
        "10 / 3 = 3.33", "10 / 3 ≈ 3.3", "(2 + 3) * 4 = 20 and 20 / 5 = 4", "2 x 6 = 12", "1,250 + 750 = 2,000",
        "1.250 + 750 = 2.000", "3,5 × 2 = 7", r"\frac{1}{2} \times 8 = 4", r"\( 2 \cdot 3 = 6 \)", "٣ + ٤ = ٧",
        "3 / 4 × 100 = 75%", "3 / 4 = 75%", "$5.50 × 3 = $16.50", "2^10 = 1024", "2**3 = 8", "- 3 + 4 = 7",
        "1. 3 + 4 = 7", "**3 + 4 = 7**", "3 + 4 = **7**", "1 500 + 500 = 2 000", "-3 + 5 = 2",
        "5 kg + 2 kg = 7 kg", "the rest is (1 + 2) × 3 = 9 books",
    ],
)  # fmt: skip
def test_equations_that_hold_are_recomputed_and_pass(text: str) -> None:
    count, wrong = equations(text)
    assert not wrong
    assert count >= 1


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("12 * 3 = 35", "36"), ("so 20% of 50 = 12", "10"), ("10 / 3 = 3.34", "3.33333"), ("100 + 899 = 1000", "999"),
        (r"\frac{1}{2} \times 8 = 5", "4"), ("3 apples + 4 apples = 8 apples", "7"), ("2 + 2 = 4 = 5 - 2", "4"),
        ("5 / 0 = 0", "divides by zero"), ("٣ + ٤ = ٨", "7"), ("10 / 3 ≈ 4", "3.33333"), ("- 3 + 4 = 1", "7"),
        ("**2 × 2 = 5**", "4"), ("7 × 8 = 54 metres", "56"),
        ("3 × 4 = 12 + 1 = 13", "12"),
    ],
)  # fmt: skip
def test_wrong_equations_are_quoted_with_what_is_right(text: str, right: str) -> None:
    _, wrong = equations(text)
    assert len(wrong) == 1
    assert right in wrong[0]


@pytest.mark.parametrize(
    "text",
    [
        "2x + 3 = 13", "y - 3 = 2 + 1", "f(2) = 3 + 4", "1 hour = 60 minutes", "1 m + 50 cm = 150 cm", "x = 5",
        "10 / 4 = 2 remainder 2", "10 / 4 = 2 R 2", "25 % 4 = 1", "if a == 3 + 4: pass", "range(1, 10) = 9 - 1",
        "100 - 20% = 80", "E = m c^2", "2(3) = 6 + 1", "9^9^9^9 = 1 + 1", "1.2.3 + 4 = 5", "=" * 500,
        "(" * 5000 + "1 + 1 = 3",
        "9" * 5000 + " + 1 = 3", "version = 3.11 - 2", "one + two = 4",
    ],
)  # fmt: skip
def test_what_is_not_plainly_arithmetic_is_passed_over(text: str) -> None:
    assert equations(text) == (0, [])


@settings(deadline=None)
@given(st.integers(-999, 9999), st.sampled_from("+-*"), st.integers(0, 999), st.integers(-3, 3))
def test_a_sum_is_wrong_exactly_if_it_is_off(a: int, sign: str, b: int, off: int) -> None:
    right = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert (equations(f"Here {a} {sign} {b} = {right + off}")[1] == []) == (off == 0)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_reader_of_equations(text: str) -> None:
    equations(text)
    number_in(text)
    thoughts_and_answer(text)
    find_meta_talk(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("Answer: 42", 42), ("$1,250.50", 1250.5), ("about −7 degrees", -7), ("3,5 kg", 3.5), ("no number", None)],
)
def test_the_last_number_of_a_text_is_found(text: str, number: float | None) -> None:
    assert number_in(text) == number


def test_the_answer_must_be_what_the_working_comes_to() -> None:
    good = "Each row has 4 seats.\n3 × 4 = 12\nAnswer: 12 seats"
    limits = load_format("maths").limits
    for solution, check in (
        (good, None),
        (good.replace("Answer: 12", "Answer: 13"), "final_answer"),
        (good.replace("= 12", "= 13"), "arithmetic"),
        ("There are twelve seats in all of it.\nAnswer: 12", "arithmetic"),
        ("3 × 4 = 12, so there are twelve seats.", "final_answer"),
    ):
        asked = candidate(f"How many seats have 3 rows of 4?\n\n{solution}", solution=solution, votes=(3, 5))
        evidence, _ = examine(asked, ("arithmetic", "final_answer"), limits)
        assert next(iter(evidence), None) == check


def test_samples_vote_by_what_they_mean() -> None:
    assert normalised("$1,200.00") == normalised("1200") == normalised(" 1200 ")
    assert normalised("The Lighthouse.") == normalised("the lighthouse")
    assert normalised([{"b": 1, "a": "X"}]) == normalised([{"a": "x", "b": 1}])
    assert majority(["7", "8", None, "7.0", ""]) == (0, 2)
    assert majority(["a", "b"]) == (0, 1)
    assert majority([None, ""]) == (-1, 0)
    assert thoughts_and_answer("3 + 4 = 7\n**Answer:** 7")[1] == "7"
    assert thoughts_and_answer("Je compte.\nRéponse : 7") == ("Je compte.", "7")
    assert thoughts_and_answer("no end") == ("no end", "")


def test_a_minority_and_an_empty_vote_are_rejected() -> None:
    check, limits = CHECKS["self_consistency"], Limits()
    assert check(candidate("", votes=(3, 5)), limits).fault is None
    assert "2 of 4 samples" in str(check(candidate("", votes=(2, 4)), limits).fault)
    assert "none of 5" in str(check(candidate("", votes=(0, 5)), limits).fault)
    assert check(candidate("", votes=(1, 1)), limits).fault is None


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


EXERCISE = {
    "solution": "```python\ndef steps(floors, each=16):\n    return floors * each\n```",
    "tests": "```python\nassert steps(2) == 32\nassert steps(3, 2) == 6\n```",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"solution": "```python\ndef steps(floors, each=16):\n    return floors + each\n```"}, "AssertionError"),
        ({"tests": "assert steps(2) == 32"}, "fewer than 2"),
        ({"tests": "assert True\nassert 1 < 2"}, "although every function returns nothing"),
        ({"solution": "def steps(floors:\n  return"}, "no Python"),
        ({"solution": "print('hello')"}, "defines no function"),
        ({"solution": "def steps(floors, each=16):\n    while True: pass"}, "longer than"),
        ({"solution": "import os\nos._exit(0)\ndef steps(a): pass"}, "before its last line"),
        ({"solution": "open('x', 'w')\ndef steps(a): pass"}, "PermissionError"),
        (
            {"solution": "import socket\nsocket.create_connection(('127.0.0.1', 9))\ndef steps(a): pass"},
            "PermissionError",
        ),
        ({"solution": "import subprocess\nsubprocess.run(['true'])\ndef steps(a): pass"}, "PermissionError"),
        ({"solution": "x = bytearray(10 ** 10)\ndef steps(a): pass"}, "MemoryError"),
        ({"solution": "while True: print('x' * 10 ** 6)\ndef steps(a): pass"}, "printed more than"),
    ],
)
def test_code_is_kept_only_if_its_own_tests_run_and_mean_something(change: dict[str, str], words: str | None) -> None:
    limits = Limits(seconds=1.0 if words == "longer than" else 60.0)
    fault = CHECKS["executed_code"](candidate("", **{**EXERCISE, **change}), limits).fault
    assert fault is None if words is None else words in str(fault)


def test_generated_code_can_remove_nothing(tmp_path: Any) -> None:
    victim = tmp_path / "kept.txt"
    victim.write_text("precious")
    for line in (f"os.unlink({str(victim)!r})", f"os.rename({str(victim)!r}, 'x')", f"os.truncate({str(victim)!r}, 0)",
                 f"os.chmod({str(victim)!r}, 0)", f"os.kill({0}, 9)", f"shutil.rmtree({str(tmp_path)!r})"):  # fmt: skip
        solution = f"import os, shutil\n{line}\ndef steps(a): pass"
        limits = Limits(seconds=60.0)
        fault = CHECKS["executed_code"](candidate("", **{**EXERCISE, "solution": solution}), limits).fault
        assert "PermissionError" in str(fault)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "lines",
    [
        "import fcntl\nfcntl.fcntl(1, 8, os.getppid())",  # F_SETOWN
        "import fcntl\nfcntl.fcntl(1, 10, 9)",  # F_SETSIG
        "import fcntl, termios\nfcntl.ioctl(1, termios.TIOCSTI, b'x')",
    ],
)
def test_generated_code_reaches_no_other_process(lines: str) -> None:
    assert "PermissionError" in str(run_python([f"import os\n{lines}"], seconds=60.0))


def test_generated_code_reads_python_alone(tmp_path: Any) -> None:
    kernel = ctypes.CDLL(None).syscall(444, None, 0, 1)  # LANDLOCK_CREATE_RULESET_VERSION
    if kernel < 1:
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "secret").write_text("precious")
    for path in (tmp_path / "secret", f"/proc/{os.getpid()}/environ"):
        assert "PermissionError" in str(run_python([f"print(open({str(path)!r}).read())"], seconds=60.0))
    modules = "decimal, fractions, json, random, re, collections, itertools, statistics, datetime, unicodedata, bisect"
    assert run_python([f"import {modules}", "assert statistics.mean([1, 3]) == 2"], seconds=60.0) is None


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


_WALK = "import os, sys\nfound, frame = [], sys._getframe()\nwhile frame := frame.f_back:\n"


@pytest.mark.parametrize(
    "forgery",
    [
        _WALK + "    job = frame.f_locals.get('job') or {}\n"
        "    if 'mark' in job: os.write(1, ('\\n' + job['mark'] + '\\n').encode())\nos._exit(0)",
        _WALK + "    found += [*frame.f_locals.values(), *frame.f_globals.values()]\n"
        "for value in found: os.write(1, f'\\n{value}\\n'.encode())\nos._exit(0)",
        "import sys\nsys.audit('smolforge.end')\nimport os\nos._exit(0)",
        "import gc\ngc.get_objects()",
        "import _imp\nfrom importlib.machinery import BuiltinImporter, ModuleSpec\n"
        "_imp.create_builtin(ModuleSpec('gc', BuiltinImporter)).get_objects()",
        "import ctypes",
        "open('/proc/self/mem', 'rb')",
        "import os\nos.open('../../proc/self/mem', os.O_RDONLY)",
        "import builtins\nbuiltins.exec = lambda *_: None",
        "import os\nos._exit = os.write = lambda *_: 0\nraise SystemExit(0)",
        "raise StopIteration",
    ],
)  # fmt: skip
def test_a_solution_cannot_say_that_it_passed_the_tests_behind_it(forgery: str) -> None:
    assert run_python([forgery, "assert False"], seconds=60.0) is not None


def test_ordinary_classes_and_modules_run_beside_the_guard() -> None:
    code = (
        "import collections, dataclasses, decimal, enum, heapq, json, random, re, typing, unittest\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int = 1\nPair = collections.namedtuple('Pair', 'a b')"
    )
    assert run_python([code, "assert Point() == Point(1) and Pair(1, 2).b == 2"], seconds=60.0) is None
