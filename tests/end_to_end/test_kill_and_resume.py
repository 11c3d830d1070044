"""The whole blueprint on a tiny recipe: kill -9 at random moments, run again, and get the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 3600.0  # seconds; a test machine may be slow
TRAINED = ("pretrain", "long_context", "midtrain", "sft", "preference", "merge")
RECIPE = """
name: tiny
seed: 3
model: {preset: nano, hidden_size: 32, intermediate_size: 64, n_heads: 2, n_kv_heads: 1}
corpus:
  held_out_min_bytes: 0
  sources: [{kind: python_stdlib, max_bytes: 60_000}, {kind: gettext, packages: [django]}]
synthesize:
  languages: [en, fr]
  commands: {train: 80, seen: 4, templates: 4, values: 4, documents: 20}
  reasoning: {midtrain: 80, train: 60, test: 6}
  copying: {short: 60, long: 4, needle_characters: [200], needles_per_length: 2}
  preferences: 40
tokenizer: {vocab_size: 1024}
tokenize: {}
pretrain: &train
  sequence_length: 64
  batch_sequences: 4
  optimizer: {name: muon, learning_rate: 0.01}
  checkpoint_every: 15
  phases: [{name: text, steps: 60, mixture: {"text-*": 0.5, code: 0.3, commands.docs: 0.2}}]
long_context:
  <<: *train
  phases: [{name: longer, steps: 40, sequence_length: 96, rope_theta: 40_000.0, mixture: {copying.docs: 1.0}}]
midtrain: {<<: *train, phases: [{name: reasoning, steps: 40, mixture: {reasoning_midtrain: 1.0}}]}
sft:
  <<: *train
  packing: whole
  sequence_length: 128
  phases: [{name: sft, steps: 60, mixture: {commands_train: 1.0}}]
preference: {steps: 20, batch_sequences: 4, max_length: 128, snapshots: [10], checkpoint_every: 5}
merge: {with_stage: sft}
"""


def start(recipe: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "smolforge.cli.main", "run", str(recipe), f"output={output}"]
    with output.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=log
        )


def weights(output: Path) -> dict[str, str]:
    return {
        stage: hashlib.sha256(path.read_bytes()).hexdigest()
        for stage in TRAINED
        for path in output.glob(f"artifacts/{stage}-*/model/model.safetensors")
    }


def kept(output: Path) -> set[tuple[str, int]]:
    """What a run that is killed now would not have to do again: finished stages and checkpoints."""
    found = set()
    for pattern in ("artifacts/*", "work/*/trainer/step-*"):
        for path in output.glob(pattern):
            with contextlib.suppress(FileNotFoundError):  # moved or replaced meanwhile
                found.add((str(path), path.stat().st_mtime_ns))
    return found


def killed(process: subprocess.Popen[bytes], output: Path, steps: int, seconds: float) -> bool:
    """Kill a run some time after it has kept ``steps`` more things; False where it ended before that."""
    before, more, deadline = kept(output), set[tuple[str, int]](), time.monotonic() + PATIENCE
    while len(more) < steps and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        more |= kept(output) - before
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE)
    assert start(recipe, tmp_path / "whole").wait(PATIENCE) == 0
    draw, kills = random.Random(5), 0
    process = start(recipe, tmp_path / "killed")
    while killed(process, tmp_path / "killed", draw.randint(2, 9), draw.uniform(0, 2)):
        kills += 1
        process = start(recipe, tmp_path / "killed")
    assert process.returncode == 0, (tmp_path / "killed.log").read_text()[-2000:]
    expected = weights(tmp_path / "whole")
    assert kills > 1 and set(expected) == set(TRAINED)
    assert weights(tmp_path / "killed") == expected
