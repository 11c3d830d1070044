"""Invariants of the training loop: resume equals uninterrupted, accumulation does not matter, masks are respected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from smolforge.errors import ConfigError, DataError
from smolforge.model.checkpoint import load_pretrained
from smolforge.store import StageContext
from smolforge.tokens.shards import ShardWriter
from smolforge.train import loop, trainer_state
from smolforge.train.config import OptimizerConfig, PhaseConfig, ScheduleConfig, TrainConfig
from smolforge.train.stage import run
from tests.train.conftest import MODEL, VOCAB, artifact

Make = Callable[..., StageContext]


def config(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "model": MODEL,
        "sequence_length": 32,
        "batch_sequences": 4,
        "phases": [
            PhaseConfig(name="stable", steps=8, mixture={"text-en": 1.0}),
            PhaseConfig(name="decay", steps=8, mixture={"text-en": 0.5, "text-fr": 0.5}),
        ],
        "schedule": ScheduleConfig(name="wsd", warmup_steps=2, decay_steps=8),
        "optimizer": OptimizerConfig(name="muon", learning_rate=3e-3),
        "precision": "float32",
        "checkpoint_every": 3,
        "log_every": 1,
    }
    return TrainConfig(**{**values, **changes})


def weights(context: StageContext) -> bytes:
    return (context.work / "model" / "model.safetensors").read_bytes()


def log_rows(context: StageContext) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (context.work / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kill_after", [1, 7, 11])
def test_a_killed_run_started_again_ends_with_the_same_bytes(
    context: Make, optimizer: str, kill_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(optimizer=OptimizerConfig(name=optimizer, learning_rate=3e-3))
    whole, killed = context("whole"), context("killed")
    run(settings, whole)

    real = loop.run_step

    def dies(decoder: Any, objective: Any, optimizer: Any, step: int, *rest: Any) -> Any:
        if step == kill_after:
            raise KeyboardInterrupt
        return real(decoder, objective, optimizer, step, *rest)

    monkeypatch.setattr(loop, "run_step", dies)
    with pytest.raises(KeyboardInterrupt):
        run(settings, killed)
    monkeypatch.setattr(loop, "run_step", real)
    run(settings, killed)
    assert weights(killed) == weights(whole)
    losses = [
        [json.loads(line)["loss"] for line in (c.work / "log.jsonl").read_text().splitlines()] for c in (whole, killed)
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 16


def test_a_torn_checkpoint_is_not_used(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed = context("whole"), context("killed")
    run(config(), whole)
    torn = killed.work / trainer_state.FOLDER / ".step-9.part"
    torn.mkdir(parents=True)
    (torn / "state.safetensors").write_bytes(b"half")
    run(config(), killed)
    assert weights(killed) == weights(whole)


def test_one_batch_of_eight_equals_eight_batches_of_one(context: Make) -> None:
    one, many = context("one"), context("many")
    adamw = OptimizerConfig(name="adamw", learning_rate=1e-3)
    run(config(batch_sequences=8, accumulation=1, optimizer=adamw), one)
    run(config(batch_sequences=1, accumulation=8, optimizer=adamw), many)
    first, second = (load_pretrained(c.work / "model").state_dict() for c in (one, many))
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=2e-5, rtol=1e-3)


def test_the_loss_falls_and_phases_are_logged(context: Make) -> None:
    here = context("learn")
    run(config(phases=[PhaseConfig(name="only", steps=60, mixture={"text-*": 1.0})]), here)
    rows = log_rows(here)
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    assert {row["phase"] for row in rows} == {"only"}
    assert all(b["tokens"] > a["tokens"] for a, b in pairwise(rows))


def test_everything_decays_but_the_embedding(context: Make) -> None:
    plain, decayed = context("plain"), context("decayed")
    for here, decay in ((plain, 0.0), (decayed, 0.5)):
        run(config(phases=[PhaseConfig(name="p", steps=1, mixture={"text-en": 1.0})], schedule=ScheduleConfig(),
                   optimizer=OptimizerConfig(name="adamw", learning_rate=1e-2, weight_decay=decay)), here)  # fmt: skip
    first, second = (load_pretrained(c.work / "model").state_dict() for c in (plain, decayed))
    same = {name for name in first if torch.equal(first[name], second[name])}
    assert same == {"embed.weight"}


def test_a_batch_without_any_target_is_refused(context: Make, tmp_path: Path) -> None:
    here = context("masked")
    shards = tmp_path / "masked"
    digest = here.inputs["tokenize"].path / "text-en" / "shard.json"
    tokenizer = json.loads(digest.read_text())["tokenizer"]
    with ShardWriter(shards / "text-en", vocab_size=VOCAB, tokenizer=tokenizer, name="text-en") as writer:
        for _ in range(40):
            writer.add([3, 4, 5, 6], [0, 0, 0, 0])
    masked = StageContext(here.work, {**here.inputs, "tokenize": artifact(shards, "tokenize")}, seed=1)
    phases = [PhaseConfig(name="p", steps=2, mixture={"text-en": 1.0})]
    with pytest.raises(DataError, match="masked"):
        run(config(phases=phases, schedule=ScheduleConfig()), masked)


def test_an_unknown_shard_is_refused_with_the_nearest_name(context: Make) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'text-en'"):
        run(config(phases=[PhaseConfig(name="p", steps=20, mixture={"text-enn": 1.0})]), context("unknown"))


def test_a_schedule_longer_than_the_stage_is_refused(context: Make) -> None:
    with pytest.raises(ConfigError, match="more than the 16 steps"):
        run(config(schedule=ScheduleConfig(warmup_steps=10, decay_steps=10)), context("long"))


def test_the_last_phase_leaves_its_theta_and_the_longest_context_in_the_model(context: Make) -> None:
    base = context("pretrain")
    run(config(), base)
    longer = context("long_context", pretrain=artifact(base.work, "pretrain"))
    phases = [
        PhaseConfig(name="longer", steps=2, mixture={"text-en": 1.0}, sequence_length=48, rope_theta=1e5),
        PhaseConfig(name="longest", steps=2, mixture={"text-en": 1.0}, rope_theta=5e5, accumulation=2),
    ]
    run(config(model=None, sequence_length=96, schedule=ScheduleConfig(), phases=phases), longer)
    changed = load_pretrained(longer.work / "model").config
    assert (changed.rope_theta, changed.max_position_embeddings) == (5e5, 96)


def test_a_resume_keeps_the_theta_of_an_earlier_phase(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    phases = [
        PhaseConfig(name="raised", steps=2, mixture={"text-en": 1.0}, rope_theta=1e6),
        PhaseConfig(name="same", steps=4, mixture={"text-en": 1.0}),
    ]
    settings = config(phases=phases, schedule=ScheduleConfig())
    whole, killed = context("whole"), context("killed")
    run(settings, whole)
    real = loop.run_step

    def dies(decoder: Any, objective: Any, optimizer: Any, step: int, *rest: Any) -> Any:
        if step == 4:
            raise KeyboardInterrupt
        return real(decoder, objective, optimizer, step, *rest)

    monkeypatch.setattr(loop, "run_step", dies)
    with pytest.raises(KeyboardInterrupt):
        run(settings, killed)
    monkeypatch.setattr(loop, "run_step", real)
    run(settings, killed)
    assert weights(killed) == weights(whole)
    assert load_pretrained(killed.work / "model").config.rope_theta == 1e6


@pytest.mark.slow
def test_two_data_parallel_ranks_train_the_same_model_as_one(context: Make, tmp_path: Path) -> None:
    one, two = context("one"), context("two")
    adamw = {"name": "adamw", "learning_rate": 1e-3}
    run(config(batch_sequences=4, optimizer=adamw), one)
    script = tmp_path / "ranks.py"
    script.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from smolforge.store import StageContext
        from smolforge.train.stage import run
        from tests.train.conftest import artifact
        from tests.train.test_training_loop import config
        root = Path({str(tmp_path)!r})
        inputs = {{n: artifact(root / n, n) for n in ("tokenizer", "tokenize")}}
        settings = config(batch_sequences=2, parallel={{"data": 2}}, optimizer={adamw!r})
        run(settings, StageContext(Path({str(two.work)!r}), inputs, seed=7))
    """)
    )
    # by its number: a machine without a network may not know its own name
    launch = ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    command = [sys.executable, *launch, str(script)]
    subprocess.run(
        command,
        check=True,
        cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        timeout=1200,
    )
    first, second = (load_pretrained(c.work / "model").state_dict() for c in (one, two))
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=2e-5, rtol=1e-3)
