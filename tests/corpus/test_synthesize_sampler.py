"""The random walk over sentence templates, the values that fill them, and the problems with derivations."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from smolforge.corpus.document import Document, write_documents
from smolforge.corpus.synthesize import arithmetic, slot_logic
from smolforge.corpus.synthesize.commands import Clarity, Command, copied_words
from smolforge.corpus.synthesize.config import LANGUAGES, ReasoningConfig
from smolforge.corpus.synthesize.hassil_sampler import ARGUMENT_ORDER, Draw, Template, load_templates, normalize
from smolforge.corpus.synthesize.home_values import Filler, expand, load_home_values, shared_nouns
from smolforge.corpus.synthesize.lexicon import count_words
from smolforge.corpus.synthesize.preferences import wrong_span
from smolforge.corpus.synthesize.pseudo_words import pseudo_word
from smolforge.corpus.synthesize.reasoning import build_reasoning
from smolforge.corpus.synthesize.tool_schema import Tools, build_tools
from smolforge.corpus.synthesize.verify import call_from
from smolforge.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def english() -> list[Template]:
    return load_templates("en")


def constant(value: str) -> Filler:
    """A filler that always says the same."""

    class Always(Filler):
        def __call__(self, *_: object) -> str:
            return value

    return Always(load_home_values("en", 0.15), "train", "real")


def test_a_draw_keeps_fixed_slots_and_copies_free_ones_as_they_stand(english: list[Template]) -> None:
    template = next(t for t in english if t.intent == "HassTurnOn" and t.combination == "area_domain")
    draw = template.draw(random.Random(1), constant("Zorbal Room"))
    assert draw is not None
    assert draw.arguments["domain"] == template.fixed["domain"]
    assert draw.arguments["area"] == "Zorbal Room"
    assert "Zorbal Room" in draw.text
    assert draw.free == ("area",)


def test_draws_have_single_spaces_ordered_arguments_and_values_inside_the_text(english: list[Template]) -> None:
    filler = Filler(load_home_values("en", 0.15), "train", "real")
    rng = random.Random(2)
    for template in english:
        draw = template.draw(rng, filler)
        if draw is None:
            continue
        assert draw.text == " ".join(draw.text.split())
        assert list(draw.arguments) == sorted(draw.arguments, key=ARGUMENT_ORDER.index)
        assert all(str(draw.arguments[slot]) in draw.text for slot in draw.free)
        assert set(draw.arguments) <= {kind.slot for kind in template.slots}


def test_a_walk_reaches_every_alternative_and_both_sides_of_an_optional(english: list[Template]) -> None:
    template = next(t for t in english if t.sentence == "(broadcast|announce) [everywhere] [that] {message}")
    rng = random.Random(3)
    draws = {draw.text for _ in range(200) if (draw := template.draw(rng, constant("hi")))}
    verbs, places, links = ("broadcast", "announce"), ("", "everywhere "), ("", "that ")
    assert draws == {f"{verb} {place}{link}hi" for verb in verbs for place in places for link in links}


def test_numbers_are_digits_in_the_text_and_numbers_in_the_call(english: list[Template]) -> None:
    rng = random.Random(4)
    filler = Filler(load_home_values("en", 0.15), "train", "real")
    seen = 0
    for template in english:
        if template.combination != "area_temperature" or template.intent != "HassClimateSetTemperature":
            continue
        draw = template.draw(rng, filler)
        assert draw is not None
        assert isinstance(draw.arguments["temperature"], int | float)
        assert str(draw.arguments["temperature"]) in draw.text
        seen += 1
    assert seen


def test_chinese_has_no_spaces_between_characters_but_keeps_those_of_latin_names() -> None:
    assert normalize("zh", " 打开 Apple TV  的 灯 ") == "打开 Apple TV 的灯"
    assert normalize("en", "  turn  on ") == "turn on"


def test_alternatives_in_a_value_entry_multiply() -> None:
    assert expand("(a|b) lamp") == ["a lamp", "b lamp"]
    assert expand("(a|b) (c|d)") == ["a c", "a d", "b c", "b d"]
    assert expand("plain") == ["plain"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_invented_words_are_plenty_and_not_in_the_lists(language: str) -> None:
    home = load_home_values(language, 0.15)
    rng = random.Random(5)
    filler = Filler(home, "train", "invented")
    words = {filler("todo_list_item", (), "", rng) for _ in range(300)}
    assert len(words) > 250
    assert not {word.casefold() for word in words} & home.known
    assert all(len(pseudo_word(language, rng).split()) == 1 for _ in range(20))


def test_words_to_copy_come_from_texts_but_not_from_templates_or_held_out_values(tmp_path: Path) -> None:
    home = load_home_values("en", 0.15)
    held = next(value for value in home.pools["held_out"]["item"] if value.isalpha())
    text = f"zephyr quarry Zephyr zephyr quarry NASA dim dimmer dim dimmer {held} {held}"
    write_documents(tmp_path, [Document.make(text, url="", source="t", licence="MIT", language="en")])
    said = Command(Draw("dimmer on", "HassTurnOn", {}, (), (), "dimmer on", "dimmer on"), "real")
    words = copied_words(count_words(tmp_path)["en"], [said], home)
    assert words == ("quarry", "zephyr")
    filler, rng = Filler(home, "train", "invented", words), random.Random(8)
    values = [filler("todo_list_item", (), "", rng) for _ in range(100)]
    assert 20 < sum(any(word in value for word in words) for value in values) < 95


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_invented_device_keeps_a_noun_of_its_kind(language: str) -> None:
    home = load_home_values(language, 0.15)
    filler = Filler(home, "train", "invented")
    rng = random.Random(6)
    nouns = home.trained_nouns["name.light"]
    for _ in range(50):
        name = filler("name", ("light",), "", rng).casefold()
        assert any(name.startswith(noun) or name.endswith(noun) for noun in nouns)
        assert name not in home.known


def test_nouns_are_the_words_or_endings_that_values_share() -> None:
    assert shared_nouns("en", ["desk lamp", "lava lamp", "router"]) == {"desk lamp": "lamp", "lava lamp": "lamp"}
    german = shared_nouns("de", ["Kinderzimmer", "Gästezimmer", "Kammer", "Flur"])
    assert german["Kinderzimmer"] == german["Gästezimmer"] == "zimmer"
    assert "Flur" not in german


def test_a_text_with_two_calls_is_a_fault_and_so_is_an_invented_value_nothing_decides() -> None:
    home = load_home_values("en", 0.15)
    timer = Draw(
        "cancel zorbal", "HassCancelTimer", {"name": "zorbal"}, ("name",), (), "cancel {}", "cancel {timer_name:name}"
    )
    item = Draw(
        "cancel milk",
        "HassListRemoveItem",
        {"item": "milk"},
        ("item",),
        (),
        "cancel {}",
        "cancel {shopping_list_item:item}",
    )
    same = Draw(
        "cancel milk", "HassCancelTimer", {"name": "milk"}, ("name",), (), "cancel {}", "cancel {timer_name:name}"
    )
    clear = Clarity(home, [], [Command(timer, "invented"), Command(item, "real"), Command(same, "real")])
    assert clear.fault("train", Command(item, "real")) == "two_calls"
    assert clear.fault("train", Command(timer, "invented")) == "undecidable"
    assert Clarity(home, [], [Command(timer, "invented")]).fault("train", Command(timer, "invented")) is None


def test_an_unknown_place_counts_only_if_training_knows_its_noun() -> None:
    home = load_home_values("en", 0.15)
    known = next(value for value in home.pools["held_out"]["area"] if home.has_trained_noun("area", value))
    for place, fault in ((known, None), ("observatory", "unknown_noun")):
        draw = Draw(
            f"clean {place}", "HassVacuumCleanArea", {"area": place}, ("area",), ("area",), "clean {}", "clean {area}"
        )
        assert Clarity(home, [], [Command(draw, "real")]).fault("values", Command(draw, "real")) == fault
        assert Clarity(home, [], [Command(draw, "real")]).fault("train", Command(draw, "real")) is None


def test_tool_bounds_come_from_the_slot_lists_and_refuse_what_is_outside(english: list[Template]) -> None:
    kinds = {t.intent: {k for o in english if o.intent == t.intent for k in o.slots} for t in english}
    tools = build_tools(kinds, {"HassSetVolumeRelative": {("name", "volume_step")}, "HassTurnOn": {("area", "domain")}})
    step = tools[0]["function"]["parameters"]["properties"]["volume_step"]
    assert step["anyOf"] == [
        {"type": "string", "enum": ["down", "up"]},
        {"type": "integer", "minimum": -100, "maximum": 100},
    ]
    checker = Tools(tools)
    checker.check("turn the tv down by 20", "HassSetVolumeRelative", {"name": "tv", "volume_step": -20})
    for wrong in ({"name": "radio", "volume_step": -20}, {"name": "tv", "volume_step": 101}, {"name": "tv"}):
        with pytest.raises(DataError):
            checker.check("turn the tv down by 20", "HassSetVolumeRelative", wrong)
    with pytest.raises(DataError, match="no tool"):
        checker.check("hello", "HassHello", {})
    assert call_from("HassSetVolumeRelative\nname: tv\nvolume_step: -20", checker)[1] == {
        "name": "tv",
        "volume_step": -20,
    }
    with pytest.raises(DataError, match="states no argument"):
        call_from("HassSetVolumeRelative\ncolour: red", checker)


@pytest.mark.parametrize(
    "text, span", [("turn on the desk lamp now", "desk lamp"), ("打开台灯吧", "台灯"), ("lamp", "lamp")]
)
def test_a_wrong_span_is_another_piece_of_the_same_command(text: str, span: str) -> None:
    for seed in range(20):
        wrong = wrong_span(text, span, random.Random(seed))
        assert wrong in text
        assert wrong != span
        assert wrong


@pytest.mark.parametrize("language", sorted(slot_logic.WORDINGS))
def test_slot_logic_replays_to_its_answer_and_a_changed_derivation_is_refused(language: str) -> None:
    rng = random.Random(6)
    for _ in range(20):
        problem = slot_logic.make_problem(language, rng, 5, 4)
        assert slot_logic.replay(problem) == problem.answer
        lines = problem.derivation.split("\n")
        other = next(place for place in slot_logic.PLACES if place != problem.answer)
        lines[-1] = lines[-1][:-1] + other
        with pytest.raises(DataError, match="derivation"):
            slot_logic.replay(slot_logic.Problem("slot_logic", language, problem.question, "\n".join(lines), other, 5))


def test_slot_logic_answers_are_even_and_independent_of_start_and_last_swap() -> None:
    rng = random.Random(7)
    start = last = 0
    answers: dict[str, int] = {}
    for _ in range(4000):
        problem = slot_logic.make_problem("en", rng, 5, 4)
        answers[problem.answer] = answers.get(problem.answer, 0) + 1
        start += problem.question.startswith(f"robot in {problem.answer};")
        last += problem.derivation.split("\n")[-1][1] == problem.answer
    assert all(880 < count < 1120 for count in answers.values())
    assert 880 < start < 1120
    assert 880 < last < 1120


def test_arithmetic_derivations_hold_line_by_line_and_end_in_the_answer() -> None:
    problems = list(arithmetic.make_problems(50, seed=1))
    assert {problem.kind for problem in problems} == {"chain_sum", "spell_backward"}
    for problem in problems:
        if problem.kind == "spell_backward":
            assert problem.derivation.split("\n")[1].replace(" ", "") == problem.answer
            continue
        for line in problem.derivation.split("\n"):
            left, sign, right, equals, result = line.split()
            assert equals == "="
            assert int(left) + (int(right) if sign == "+" else -int(right)) == int(result)
        assert problem.derivation.endswith(f"= {problem.answer}")


def test_more_problems_than_exist_is_a_config_error_that_says_what_to_raise() -> None:
    config = ReasoningConfig(midtrain=50000, steps=(2, 2), options=3)
    with pytest.raises(ConfigError, match=r"raise either"):
        build_reasoning(config, ("en",), seed=1)
