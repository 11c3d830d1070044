"""The mixture planner: its arithmetic, over phases and stages, what it refuses, and what it draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smolforge.cli.corpus_plan import arguments, run
from smolforge.cli.main import Parser
from smolforge.errors import ConfigError
from smolforge.recipe.load import load_recipe
from smolforge.recipe.mixture import demands, mixture_plan, sizes
from smolforge.recipe.mixture_text import bar, most_read, render
from smolforge.recipe.runner import finished
from smolforge.recipe.schema import identify
from smolforge.store.artifact import Manifest, finish
from smolforge.tokens.mixture_plan import PhaseDemand, plan_mixtures

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def phase(name: str, tokens: float, mixture: dict[str, float], **options: object) -> PhaseDemand:
    return PhaseDemand("pretrain", name, tokens, mixture, **options)  # type: ignore[arg-type]


def test_epochs_add_up_over_phases_and_weights_need_not_sum_to_one() -> None:
    plan = plan_mixtures(
        [phase("one", 900, {"web": 2, "code": 1}), phase("two", 300, {"web": 1})], {"web": 300, "code": 600}
    )
    assert [(row.source, row.wanted, row.epochs, row.epochs_so_far) for row in plan.rows] == [
        ("web", 600, 2.0, 2.0), ("code", 300, 0.5, 0.5), ("web", 300, 1.0, 3.0)
    ]  # fmt: skip
    assert plan.problems == [] and plan.notes == []
    repeated = plan_mixtures([phase("one", 1500, {"web": 1})], {"web": 300})
    assert "'web' is read 5.0 times in all" in repeated.notes[0]


def test_what_cannot_be_is_refused_with_what_to_change() -> None:
    plan = plan_mixtures([phase("one", 1000, {"web": 1, "small": 1}, max_epochs={"small": 2})], {"small": 100})
    assert plan.problems == [
        "pretrain (one): 'small' would be read 5.0 times, more than max_epochs 2; lower its share to 0.2, or the phase "
        "to 40% of its steps, or add 150 tokens, or set at_cap: redistribute"
    ]
    # each of the three remedies it names is one
    mixtures = [
        ({"web": 4, "small": 1}, 1000, 100),
        ({"web": 1, "small": 1}, 400, 100),
        ({"web": 1, "small": 1}, 1000, 250),
    ]
    for mixture, tokens, size in mixtures:
        changed = plan_mixtures([phase("one", tokens, mixture, max_epochs={"small": 2})], {"small": size})
        assert changed.problems == []


def test_redistribution_keeps_the_cap_and_the_total() -> None:
    demand = phase("one", 1000, {"web": 2, "code": 1, "small": 1}, max_epochs={"small": 2}, at_cap="redistribute")
    plan = plan_mixtures([demand], {"small": 60, "web": 5000, "code": 5000})
    assert plan.problems == []
    assert {row.source: row.wanted for row in plan.rows} == pytest.approx(
        {"web": 586.67, "code": 293.33, "small": 120}, 1e-3
    )
    full = plan_mixtures(
        [phase("one", 1000, {"small": 1}, max_epochs={"small": 2}, at_cap="redistribute")], {"small": 60}
    )
    assert "all sources up to their caps give 120" in full.problems[0]


def test_reading_onward_counts_a_cap_over_the_phases() -> None:
    demands_ = [phase(name, 150, {"web": 1}, max_epochs={"web": 2}) for name in ("one", "two")]
    onward = [PhaseDemand(**{**vars(each), "onward": True}) for each in demands_]
    assert plan_mixtures(demands_, {"web": 100}).problems == []
    assert "pretrain (two): 'web' would be read 3.0 times" in plan_mixtures(onward, {"web": 100}).problems[0]


def test_a_counted_plan_refuses_names_that_are_not_there_and_empty_sources() -> None:
    plan = plan_mixtures([phase("one", 10, {"wbe": 1, "empty": 1, "web.*": 1})], {"web": 5, "empty": 0, "web.fr": 9},
                         complete=True)  # fmt: skip
    assert plan.problems == [
        "pretrain (one): mixture names 'wbe', of which there is nothing (did you mean 'web'?)",
        "pretrain (one): mixture names 'empty', of which there are no tokens; take it out of the mixture",
    ]


def test_the_published_recipe_eats_its_maths_several_times() -> None:
    plan = mixture_plan(load_recipe(RECIPES / "3b.yaml"))
    last = {row.source: row for row in plan.rows}
    # 10B tokens of FineMath-4+ at 2% of 1.76T, 2.5% of 1.23T and 2.2% of 99B
    wanted = 1.764753408e12 * 0.02 / 1.00005 + 1.231552512e12 * 0.025 / 1.00565 + 99.09e9 * 0.0223869
    assert last["finemath_4plus"].epochs_so_far == pytest.approx(wanted / 9.6e9, rel=1e-3)
    assert last["pes2o"].there is None and last["pes2o"].epochs is None
    assert any("finemath_4plus" in line for line in most_read(plan))


def call(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = Parser()
    arguments(parser)
    assert run(parser.parse_args(list(words))) == 0
    return capsys.readouterr().out


def test_the_page_shows_every_phase_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    page = call(capsys, str(RECIPES / "3b.yaml"))
    assert "pretrain · decay: 1.232T tokens from 56 sources" in page
    assert all(
        name in page for name in load_recipe(RECIPES / "3b.yaml").header.datasets if not name.startswith("pref_")
    )
    plan = json.loads(call(capsys, str(RECIPES / "3b.yaml"), "--json"))
    assert plan["sizes"] == "stated" and plan["problems"] == [] and len(plan["rows"]) > 250


def test_counted_sizes_come_from_the_finished_tokenize_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(RECIPES / "nano.yaml"), f"output={tmp_path}"]
    recipe = load_recipe(Path(words[0]), words[1:])
    assert sizes(recipe) == ({}, "unknown")
    assert "nothing is counted" in call(capsys, *words)
    names = {name for demand in demands(recipe) for name in demand.mixture}
    step = next(step for step in identify(recipe) if step.stage.name == "tokenize")
    work = tmp_path / "work"
    work.mkdir()
    counts = {"shards": {name: {"tokens": 1000 * i} for i, name in enumerate(sorted(names), 1)}}
    finish(work, tmp_path / "artifacts" / step.folder, Manifest("tokenize", step.id, "1", {}, {}, 0, counts=counts))
    assert finished(recipe.output, step) is not None
    found, origin = sizes(recipe)
    assert origin == "counted" and set(found) == names
    assert "were counted by the tokenize stage" in call(capsys, *words)
    with pytest.raises(ConfigError, match=r"mixture names 'text-en2', of which there is nothing"):
        call(capsys, *words, "pretrain.phases.2.mixture={text-en2: 1}")


def test_unimax_suggests_a_mixture(capsys: pytest.CaptureFixture[str]) -> None:
    stated = "plan.tokens={text-en: 9e9, text-fr: 2e9, text-ar: 1e8}"
    out = json.loads(
        call(capsys, str(RECIPES / "nano.yaml"), stated, "--unimax", "4.4e9", "--max-epochs", "4", "--json")
    )
    assert out["tokens"] == {"text-en": 2e9, "text-fr": 2e9, "text-ar": 4e8}
    assert sum(out["weights"].values()) == pytest.approx(1, abs=1e-5)
    assert "text-ar: 0.090909  # 400,000,000 tokens, 4.00 epochs" in call(
        capsys, str(RECIPES / "nano.yaml"), stated, "--unimax", "4.4e9"
    )


def test_bars_grow_with_the_value_and_end_in_an_arrow_beyond_the_full() -> None:
    lengths = [len(bar(value, 1.0, 10)) for value in (0, 0.001, 0.5, 1.0)]
    assert lengths == [0, 1, 5, 10]
    assert bar(1.2, 1.0, 10).endswith("▶") and bar(1.0, 1.0, 10) == "█" * 10


def test_phases_without_any_size_are_still_drawn() -> None:
    page = render(plan_mixtures([phase("one", 10, {"web": 1})], {}), "unknown")
    assert "pretrain · one: 10 tokens from 1 source\n" in page and "–" in page
