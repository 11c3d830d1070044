"""Preference losses against their formulas, preference tuning end to end, schedules, Muon's step, merging."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smolforge.errors import ConfigError, FormatError
from smolforge.model.checkpoint import read_tensors
from smolforge.store import StageContext
from smolforge.train.config import (
    MergeConfig,
    OptimizerConfig,
    PhaseConfig,
    PreferenceConfig,
    ScheduleConfig,
    TrainConfig,
)
from smolforge.train.merge_stage import linear_merge
from smolforge.train.merge_stage import run as run_merge
from smolforge.train.objectives import apo_zero, dpo
from smolforge.train.optimizers import orthogonalise
from smolforge.train.schedules import learning_rate_factor
from smolforge.train.stage import run
from tests.train.conftest import MODEL, artifact

Make = Callable[..., StageContext]


def test_apo_zero_and_dpo_follow_their_formulas() -> None:
    chosen, rejected = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    pairs = list(zip(chosen.tolist(), rejected.tolist(), strict=True))
    assert float(apo_zero(chosen, rejected, 0.1)) == pytest.approx(
        sum(1 - sigmoid(0.1 * c) + sigmoid(0.1 * r) for c, r in pairs)
    )
    assert float(dpo(chosen, rejected, 0.1)) == pytest.approx(sum(-math.log(sigmoid(0.1 * (c - r))) for c, r in pairs))


def test_apo_zero_raises_the_chosen_and_lowers_the_rejected() -> None:
    chosen, rejected = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    apo_zero(chosen, rejected, 0.5).backward()
    assert chosen.grad is not None and rejected.grad is not None
    assert (chosen.grad < 0).all() and (rejected.grad > 0).all()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ScheduleConfig(name="wsd", warmup_steps=2, decay_steps=4), {0: 0.5, 1: 1.0, 5: 1.0, 6: 0.8, 9: 0.2}),
        (ScheduleConfig(name="cosine", warmup_steps=0, final_fraction=0.1), {0: 1.0, 5: 0.55}),
        (ScheduleConfig(name="linear"), {0: 1.0, 5: 0.5}),
        (ScheduleConfig(name="constant", warmup_steps=4), {0: 0.25, 9: 1.0}),
    ],
)
def test_schedules_pass_through_known_points(schedule: ScheduleConfig, expected: dict[int, float]) -> None:
    for step, factor in expected.items():
        assert learning_rate_factor(schedule, step, 10) == pytest.approx(factor)


@pytest.mark.parametrize("shape", [(32, 32), (96, 32), (32, 96)])
def test_muon_updates_are_close_to_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, *shape)))
    assert values.max() < 1.35
    assert (values > 0.7).float().mean() > 0.9  # a square one may have singular values that are almost nothing


def pretrained(context: Make, name: str = "pretrain", seed_steps: int = 20) -> StageContext:
    here = context(name)
    phases = [PhaseConfig(name="p", steps=seed_steps, mixture={"text-en": 1.0})]
    run(TrainConfig(model=MODEL, sequence_length=32, batch_sequences=4, phases=phases, precision="float32",
                    optimizer=OptimizerConfig(learning_rate=3e-3)), here)  # fmt: skip
    return here


@pytest.mark.parametrize("loss", ["apo_zero", "dpo"])
def test_preference_tuning_lowers_its_loss_and_merging_mixes_the_weights(context: Make, loss: str) -> None:
    base = pretrained(context)
    tuned = context("preference", pretrain=artifact(base.work, "pretrain"))
    rate = OptimizerConfig(learning_rate=1e-3)
    settings = PreferenceConfig(
        loss=loss,
        beta=0.2,
        steps=20,
        batch_sequences=8,
        max_length=32,
        snapshots=[10],
        log_every=1,
        precision="float32",
        optimizer=rate,
    )
    run(settings, tuned)
    rows = [json.loads(line) for line in (tuned.work / "log.jsonl").read_text().splitlines()]
    start = {"apo_zero": 1.0, "dpo": math.log(2)}[loss]
    assert rows[0]["loss"] == pytest.approx(start, abs=1e-4)  # policy = reference at the first step
    assert rows[-1]["loss"] < 0.9 * start

    merged = context("merge", preference=artifact(tuned.work, "preference"), pretrain=artifact(base.work, "pretrain"))
    run_merge(MergeConfig(weight=0.9, with_stage="pretrain"), merged)
    name = "model.layers.0.mlp.down_proj.weight"
    parts = [tuned.work / "snapshots" / "step-10", tuned.work / "model", base.work / "model"]
    snapshot, last, first = (read_tensors(p)[name] for p in parts)
    expected = 0.45 * snapshot + 0.45 * last + 0.1 * first
    torch.testing.assert_close(read_tensors(merged.work / "model")[name], expected, atol=1e-6, rtol=1e-5)


def test_merging_models_of_different_shapes_is_refused() -> None:
    with pytest.raises(FormatError, match="different shapes"):
        linear_merge([(0.5, {"a": torch.zeros(2, 2)}), (0.5, {"a": torch.zeros(2, 3)})])
    with pytest.raises(FormatError, match="differ in tensors"):
        linear_merge([(0.5, {"a": torch.zeros(2)}), (0.5, {"b": torch.zeros(2)})])


def test_merging_with_a_stage_that_is_not_there_names_the_nearest(context: Make, tmp_path: Path) -> None:
    base = pretrained(context, seed_steps=1)
    here = context("merge", preference=artifact(base.work, "preference"), midtrain=artifact(base.work, "midtrain"))
    with pytest.raises(ConfigError, match="did you mean 'midtrain'"):
        run_merge(MergeConfig(with_stage="mid_train"), here)
