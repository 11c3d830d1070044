"""The dry run: its arithmetic, its checks, and every recipe that is shipped."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from smolforge.cli.main import main
from smolforge.errors import ConfigError
from smolforge.recipe.load import load_recipe
from smolforge.recipe.plan import Plan, check, make_plan
from smolforge.recipe.plan_checks import rope_signal
from smolforge.recipe.quantities import duration, energy, quantity

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SHIPPED = sorted(path.name for path in RECIPES.glob("*.yaml"))


def plan(name: str, *overrides: str) -> Plan:
    return make_plan(load_recipe(RECIPES / name, overrides))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_passes_its_dry_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(RECIPES / name), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "nothing was run" in out and "problems" not in out and err == ""
    assert main(["plan", str(RECIPES / name), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []


def test_the_sizes_of_the_family_are_all_shipped() -> None:
    assert {"nano.yaml", "135m.yaml", "0.3b.yaml", "1.7b.yaml", "3b.yaml"} <= set(SHIPPED)


def test_the_published_3b_recipe_comes_to_its_published_totals() -> None:
    found = plan("3b.yaml")
    by_name = {stage.name: stage for stage in found.stages}
    assert found.parameters == 3_075_098_624
    assert [phase.tokens for phase in by_name["pretrain"].phases] == [
        3_450_000 * 2_359_296, 748_000 * 2_359_296, 522_000 * 2_359_296
    ]  # fmt: skip
    assert by_name["long_context"].tokens == 42_000 * 2_359_296
    assert quantity(found.total(["pretrain"])["tokens"]) == "11.136T"
    assert quantity(found.total(["long_context"])["tokens"]) == "99.1B"
    assert quantity(found.total(["pretrain", "long_context"])["tokens"]) == "11.235T"
    assert by_name["pretrain"].accelerators == 384 and by_name["long_context"].accelerators == 96
    assert 22 < by_name["pretrain"].days < 26  # published: 24 days
    assert [round(p.rope_theta) for p in by_name["long_context"].phases] == [2_000_000, 5_000_000]


def test_published_weights_that_do_not_sum_to_one_are_stated_and_normalised() -> None:
    sums = [note for note in plan("3b.yaml").notes if "sum to" in note]
    assert ["1.00005" in sums[0], "1.00565" in sums[1], len(sums)] == [True, True, 2]


def test_cost_follows_from_what_the_plan_states() -> None:
    stage = next(stage for stage in plan("3b.yaml").stages if stage.name == "pretrain")
    seconds = stage.flops / (384 * 989e12 * 0.294)
    assert stage.days == pytest.approx(seconds / 86_400)
    assert stage.energy_kwh == pytest.approx(seconds / 3600 * 384)
    half = next(s for s in plan("3b.yaml", "plan.mfu=0.147").stages if s.name == "pretrain")
    assert half.days == pytest.approx(2 * stage.days)


def test_memory_adds_up_from_bytes_per_parameter() -> None:
    memory = next(s for s in plan("1.7b.yaml").stages if s.name == "pretrain").memory
    assert memory["weights"] + memory["gradients"] + memory["optimizer"] == 18 * 1_711_376_384
    single = next(s for s in plan("1.7b.yaml", "pretrain.precision=float32").stages if s.name == "pretrain").memory
    assert single["weights"] == 4 * 1_711_376_384 and single["activations"] == 2 * memory["activations"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("pretrain.schedule.warmup_steps=9_000_000", "warmup_steps 9000000"),
        ("pretrain.phases.0.steps=1", "plan.expect.pretrain: stated"),
        ("model.n_layers=35", "plan.expect.parameters: stated 3.0751e\\+09"),
        ("pretrain.phases.0.mixture.dclm=0.5", r"mixture weights sum to 1.13"),
        ("pretrain.phases.0.mixture={dclmm: 1.0}", r"'dclmm', which is not under datasets \(did you mean 'dclm'"),
        ("midtrain.phases.0.steps=40_000", "'mid_nemotron' would be read 4.8 times, more than max_epochs 4"),
        ("pretrain.batch_sequences=16", "needs about 183 GiB per accelerator, which has 79"),
        ("sft.snapshots=[955]", "sft.snapshots: step 955 is past the last step, 954"),
        ("preference.schedule.warmup_steps=6000", "preference.schedule: warmup_steps 6000"),
        ("preference.snapshots=[9999]", "preference.snapshots: step 9999"),
        ("merge.with_stage=midtraining", r"merge.with_stage: no stage 'midtraining' \(did you mean 'midtrain'"),
        ("pretrain.sequence_length=8192", "sequence_length 8192 is more than the model's 4096 positions"),
    ],
)
def test_a_wrong_number_is_a_problem_and_stops_a_run_before_it_begins(override: str, said: str) -> None:
    recipe = load_recipe(RECIPES / "3b.yaml", [override])
    problems = make_plan(recipe).problems
    assert problems
    with pytest.raises(ConfigError):
        check(recipe)

    assert any(re.search(said, problem) for problem in problems), problems


def test_nano_refuses_a_shard_that_tokenize_will_not_write() -> None:
    problems = plan("nano.yaml", "sft.phases.0.mixture={comands_train: 1}").problems
    assert problems == [
        "sft.phases.0 (dual-mode): mixture names 'comands_train', which is not a shard of the tokenize stage "
        "(did you mean 'commands_train'?)"
    ]


def test_a_recipe_with_public_datasets_is_not_run_but_says_what_to_fetch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(RECIPES / "3b.yaml"), f"output={tmp_path}/out"]) == 2
    err = capsys.readouterr().err
    assert "must be fetched first" in err and "hf download" in err and not (tmp_path / "out").exists()


def test_a_dry_run_with_problems_ends_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(RECIPES / "nano.yaml"), "pretrain.schedule.warmup_steps=9999"]) == 2
    out, err = capsys.readouterr()
    assert "problems:" in out and err.count("\n") == 1


@pytest.mark.parametrize(
    ("theta", "length", "enough"),
    [(5e4, 4096, True), (2e6, 32_768, True), (5e6, 65_536, True), (5e6, 131_072, False), (1e4, 4096, False)],
)
def test_the_published_bases_suffice_for_their_windows(theta: float, length: int, enough: bool) -> None:
    assert (rope_signal(theta, length, 128) >= 0) is enough


def test_rope_signal_at_distance_zero_is_every_frequency_in_phase() -> None:
    assert rope_signal(1e4, 1, 64) == 32.0 and math.isfinite(rope_signal(1e4, 10_000, 64))


def test_quantities_read_as_people_write_them() -> None:
    assert [quantity(v) for v in (11.1359e12, 99.09e9, 8192.0, 12)] == ["11.136T", "99.1B", "8.2k", "12"]
    assert [duration(d) for d in (24.0, 0.5, 0.01, 1e-5)] == ["24.0 d", "12.0 h", "14.4 min", "1 s"]
    assert [energy(k) for k in (12_345.6, 0.0044)] == ["12,346 kWh", "4.4 Wh"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("evaluate.subject=mergee", r"evaluate.subject: no stage 'mergee' with a model \(did you mean 'merge'"),
        ("evaluate.needle.stages=[long]", r"evaluate.needle.stages: no stage 'long'"),
        ("export.subject=tokenizer", r"export.subject: no stage 'tokenizer' with a model"),
        ("report.targets.0.metric=calls.exactly", r"report.targets.0.metric: no metric 'calls.exactly'"),
    ],
)
def test_a_model_or_metric_that_will_not_be_there_is_found_before_the_run(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check(load_recipe(RECIPES / "nano.yaml", [override]))
