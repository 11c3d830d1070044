"""The whole blueprint on a tiny recipe: kill -9 at random moments, run again, and get the same bytes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE)
    assert start(recipe, tmp_path / "whole").wait(timeout=400) == 0
    draw = random.Random(5)
    kills, deadline = 0, time.monotonic() + 500
    while True:
        process = start(recipe, tmp_path / "killed")
        try:
            # Longer than a stage needs to start, or nothing would ever be finished; shorter than all of them together.
            code = process.wait(timeout=draw.uniform(5, 22))
            assert code == 0, (tmp_path / "killed.log").read_text()[-2000:]
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            assert time.monotonic() < deadline, f"not finished after {kills} kills"
    expected = weights(tmp_path / "whole")
    assert kills > 0 and set(expected) == set(TRAINED)
    assert weights(tmp_path / "killed") == expected
