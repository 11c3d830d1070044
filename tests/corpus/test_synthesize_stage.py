"""The whole stage on small counts: what it writes, that it repeats itself, and that its held-out sets are held out."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from smolforge.corpus.synthesize.commands import split_templates, template_words
from smolforge.corpus.synthesize.config import (
    LANGUAGES,
    CommandsConfig,
    CopyingConfig,
    ReasoningConfig,
    SynthesizeConfig,
)
from smolforge.corpus.synthesize.hassil_sampler import load_templates
from smolforge.corpus.synthesize.home_values import load_home_values
from smolforge.corpus.synthesize.stage import run
from smolforge.corpus.synthesize.tool_schema import Tools
from smolforge.corpus.synthesize.verify import check_row
from smolforge.store import StageContext

Rows = dict[str, list[dict[str, Any]]]
CONFIG = SynthesizeConfig(
    languages=("en", "fr", "ar", "zh"),
    commands=CommandsConfig(train=600, seen=60, templates=60, values=60, documents=20),
    reasoning=ReasoningConfig(midtrain=120, train=80, test=40),
    copying=CopyingConfig(short=40, long=4, needle_characters=(300, 900), needles_per_length=4),
    preferences=80,
)
HELD_OUT = ("commands_seen", "commands_templates", "commands_values")


def build(folder: Path, config: SynthesizeConfig = CONFIG, seed: int = 7) -> Path:
    folder.mkdir()
    run(config, StageContext(work=folder, inputs={}, seed=seed))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("synthesize") / "work")


@pytest.fixture(scope="module")
def sets(folder: Path) -> Rows:
    return {p.stem: [json.loads(line) for line in p.read_text("utf-8").splitlines()] for p in folder.glob("*.jsonl")}


@pytest.fixture(scope="module")
def tools(folder: Path) -> Tools:
    return Tools(json.loads((folder / "tools.json").read_text("utf-8")))


def command(row: dict[str, Any]) -> str:
    return str(row["messages"][-2]["content"])


def call(row: dict[str, Any]) -> dict[str, Any]:
    return dict(row["messages"][-1]["tool_calls"][0])


def test_every_set_of_the_contract_is_written_and_counted(folder: Path, sets: Rows) -> None:
    names = {f"commands_{name}" for name in ("train", "seen", "templates", "values")}
    names |= {"reasoning_midtrain", "reasoning_train", "reasoning_test", "preferences"}
    names |= {"copying.docs", "copying_long.docs", "commands.docs", "needle_test.docs"}
    assert set(sets) == names
    counts = json.loads((folder / "counts.json").read_text("utf-8"))
    assert {name: counts[name]["rows"] for name in names} == {name: len(rows) for name, rows in sets.items()}
    assert len(sets["commands_train"]) == 4 * 600
    assert all(len(sets[name]) == 4 * 60 for name in HELD_OUT)


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    small = CONFIG.model_copy(update={"languages": ("zh",)})
    first, again = build(tmp_path / "first", small), build(tmp_path / "again", small)
    other = build(tmp_path / "other", small, seed=8)
    files = sorted(path.name for path in first.iterdir())
    assert files == sorted(path.name for path in again.iterdir())
    for name in files:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
    assert (first / "commands_train.jsonl").read_bytes() != (other / "commands_train.jsonl").read_bytes()


def test_a_language_gives_the_same_rows_whatever_other_languages_are_built(sets: Rows, tmp_path: Path) -> None:
    alone = build(tmp_path / "alone", CONFIG.model_copy(update={"languages": ("zh",)}))
    rows = {json.loads(line)["id"] for line in (alone / "commands_train.jsonl").read_text("utf-8").splitlines()}
    assert rows == {row["id"] for row in sets["commands_train"] if row["language"] == "zh"}


def test_ids_are_unique(sets: Rows) -> None:
    for name, rows in sets.items():
        ids = [row.get("id") or row["doc_id"] for row in rows]
        assert len(ids) == len(set(ids)), name


def test_no_held_out_command_occurs_in_training_or_in_another_held_out_set(sets: Rows) -> None:
    seen = {(row["language"], command(row).casefold()) for row in sets["commands_train"]}
    for name in HELD_OUT:
        here = {(row["language"], command(row).casefold()) for row in sets[name]}
        assert not here & seen
        seen |= here


def test_templates_set_has_templates_that_training_never_used(sets: Rows) -> None:
    used = {(row["language"], row["meta"]["template"]) for row in sets["commands_train"]}
    assert not used & {(row["language"], row["meta"]["template"]) for row in sets["commands_templates"]}
    assert len({row["meta"]["template"] for row in sets["commands_templates"]}) > 40


def test_no_value_of_the_values_set_was_ever_a_value_in_training(sets: Rows) -> None:
    trained = defaultdict(set)
    for row in sets["commands_train"] + sets["commands_seen"] + sets["commands_templates"]:
        trained[row["language"]] |= {str(call(row)["arguments"][slot]).casefold() for slot in row["meta"]["free"]}
    styles = set()
    for row in sets["commands_values"]:
        assert row["meta"]["free"]
        styles.add(row["meta"]["values"])
        for slot in row["meta"]["free"]:
            assert call(row)["arguments"][slot].casefold() not in trained[row["language"]]
    assert styles == {"real", "invented"}


def test_every_gold_call_passes_the_tools_and_the_verifier(sets: Rows, tools: Tools) -> None:
    for name in ("commands_train", *HELD_OUT):
        for row in sets[name]:
            check_row(row, tools)


def test_no_command_has_two_answers(sets: Rows) -> None:
    answers: dict[tuple[str, str], str] = {}
    for name in ("commands_train", *HELD_OUT):
        for row in sets[name]:
            answer = json.dumps(call(row)).casefold()
            assert answers.setdefault((row["language"], command(row).casefold().rstrip(".。")), answer) == answer


def test_modes_have_the_shares_asked_for_and_say_what_they_contain(sets: Rows) -> None:
    rows = sets["commands_train"]
    thinking = [row for row in rows if row["mode"] == "think"]
    assert 0.15 < len(thinking) / len(rows) < 0.25
    assert all("reasoning_content" in row["messages"][-1] for row in thinking)
    assert not any("reasoning_content" in row["messages"][-1] for row in rows if row["mode"] == "no_think")


def test_every_test_problem_is_asked_in_both_modes_and_never_trained(sets: Rows) -> None:
    groups = defaultdict(set)
    for row in sets["reasoning_test"]:
        groups[row["group"]].add(row["mode"])
    assert len(groups) == 40
    assert {row["meta"]["kind"] for row in sets["reasoning_midtrain"]} == {"slot_logic", "chain_sum", "spell_backward"}
    assert all(modes == {"think", "no_think"} for modes in groups.values())
    trained = {row["messages"][0]["content"] for row in sets["reasoning_midtrain"] + sets["reasoning_train"]}
    assert not trained & {row["messages"][0]["content"] for row in sets["reasoning_test"]}


def test_rejected_answers_are_wrong_and_differ_from_the_chosen_one(sets: Rows) -> None:
    gold = {(row["language"], command(row)): call(row) for row in sets["commands_train"]}
    mistakes = set()
    for row in sets["preferences"]:
        assert row["chosen"] != row["rejected"]
        assert row["chosen"]["tool_calls"] == [gold[row["language"], row["prompt"][-1]["content"]]]
        mistakes.add(row["meta"]["mistake"])
        if row["meta"]["mistake"] == "mode":
            assert row["chosen"]["tool_calls"] == row["rejected"]["tool_calls"]
            assert ("reasoning_content" in row["chosen"]) != ("reasoning_content" in row["rejected"])
        else:
            assert row["chosen"]["tool_calls"] != row["rejected"]["tool_calls"]
    assert mistakes == {"mode", "span", "value", "missing", "intent"}


def facts_of(row: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [line.partition("=") for line in row["text"].split("\n")]
    return [(key, value) for key, sign, value in lines if sign and value]


def test_a_needle_stands_once_in_its_text_and_the_text_has_the_length_asked_for(sets: Rows) -> None:
    depths = set()
    for row in sets["needle_test.docs"]:
        meta = json.loads(row["meta"])
        lines = row["text"].split("\n")
        assert lines[-1] == f"{meta['needle_key']}="
        assert lines.count(f"{meta['needle_key']}={meta['answer']}") == 1
        assert 0.6 * meta["characters"] < len(row["text"]) <= max(meta["characters"], 500)
        depths.add(round(lines.index(f"{meta['needle_key']}={meta['answer']}") / (len(lines) - 1), 1))
    assert len(depths) > 2


def test_a_drill_tells_every_fact_again_and_never_otherwise(sets: Rows) -> None:
    for row in sets["copying.docs"] + sets["copying_long.docs"]:
        facts = facts_of(row)
        assert len(dict(facts)) == len(set(facts))
        assert all(facts.count(pair) > 1 for pair in facts)


def test_no_drill_holds_a_pair_of_the_needle_test(sets: Rows) -> None:
    drills = sets["copying.docs"] + sets["copying_long.docs"]
    drilled = {(row["language"], *pair) for row in drills for pair in facts_of(row)}
    tested = {(row["language"], *pair) for row in sets["needle_test.docs"] for pair in facts_of(row)}
    assert tested
    assert not drilled & tested


def test_a_system_message_stands_before_every_command_only_if_asked_for(sets: Rows, tmp_path: Path) -> None:
    assert all(len(row["messages"]) == 2 for row in sets["commands_train"])
    small = CONFIG.model_copy(update={"languages": ("en",), "system": "You run a home."})
    rows = (build(tmp_path / "system", small) / "commands_seen.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(row)["messages"][0] == {"role": "system", "content": "You run a home."} for row in rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_intent_of_every_language_keeps_a_template_to_train_on(language: str) -> None:
    templates = load_templates(language)
    trained, held = split_templates(templates, 0.5, known_words=False)
    assert {t.intent for t in trained} == {t.intent for t in templates}
    assert not {t.sentence for t in trained} & {t.sentence for t in held}
    assert len(held) > 0.3 * len(templates)
    words = defaultdict(set)
    trained, held = split_templates(templates, 0.12, known_words=True)
    for template in trained:
        words[template.intent] |= template_words(template.sentence)
    assert held
    assert all(template_words(t.sentence) <= words[t.intent] for t in held)


@pytest.mark.parametrize("language", LANGUAGES)
def test_home_lists_are_long_enough_and_split_without_overlap(language: str) -> None:
    home = load_home_values(language, 0.15)
    sizes = {name: len(home.pools["train"][name]) + len(home.pools["held_out"][name]) for name in home.pools["train"]}
    rooms = max(sizes["area"], sizes.get("area.after_preposition", 0))
    assert rooms >= 60
    assert sizes["floor"] >= 15
    assert sizes["item"] >= 80
    assert sizes["message"] >= 40
    assert sizes["search_query"] >= 40
    assert sum(size for name, size in sizes.items() if name.startswith("name.")) >= 150
    train = {value.casefold() for values in home.pools["train"].values() for value in values}
    held = {value.casefold() for values in home.pools["held_out"].values() for value in values}
    assert not train & held
