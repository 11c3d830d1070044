"""Training speed on a CPU: one step of our trainer against one step of transformers.Trainer.

Same model (identical weights), same batches, same precision (float32), same optimizer (AdamW), same threads. The two
run in turn, a slice of steps each, so that a drifting machine slows both; the claim is the median ratio of the slices.

    python benchmarks/train_cpu.py --json train_cpu.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import SmolLM3ForCausalLM, Trainer, TrainerCallback, TrainingArguments

from smolforge.model.checkpoint import save_pretrained
from smolforge.model.decoder import Decoder
from smolforge.model.initialise import initialise
from smolforge.model.presets import preset
from smolforge.tokens.batches import Batch
from smolforge.train.config import OptimizerConfig
from smolforge.train.loop import run_step
from smolforge.train.next_token import token_loss
from smolforge.train.optimizers import Optimizer
from smolforge.train.ranks import Ranks

TARGET = 1.3


def batches(count: int, rows: int, length: int, vocabulary: int, supervised: float) -> list[Batch]:
    """Random tokens; the last ``supervised`` share of every row are targets (1.0: pretraining; 0.3: like SFT)."""
    draw = np.random.default_rng(0)
    made = []
    for _ in range(count):
        tokens = draw.integers(0, vocabulary, (rows, length + 1))
        labels = tokens[:, 1:].copy()
        labels[:, : round(length * (1 - supervised))] = -100
        made.append(Batch(tokens[:, :-1].copy(), labels, np.zeros((rows, length), np.int32)))
    return made


class Ours:
    """Our loop over prepared batches."""

    total_steps = 10**9

    def __init__(self, decoder: Decoder, data: Sequence[Batch]) -> None:
        self.decoder, self.data, self.done = decoder, data, 0
        self.optimizer = Optimizer(decoder, OptimizerConfig(learning_rate=1e-3))

    def phase(self, step: int) -> str:
        return "benchmark"

    def enter(self, decoder: Decoder, step: int) -> None:
        """No phases."""

    def factor(self, step: int) -> float:
        return 1.0

    def micro_batches(self, step: int) -> Sequence[Batch]:
        return [self.data[step % len(self.data)]]

    def count(self, micro: Batch) -> int:
        return micro.targets

    def tokens(self, micro: Batch) -> int:
        return micro.tokens.size

    def loss_sum(self, decoder: Decoder, micro: Batch) -> torch.Tensor:
        return token_loss(decoder, micro, torch.device("cpu"))

    def slice(self, steps: int) -> float:
        """Run ``steps`` steps; return seconds per step."""
        start = time.perf_counter()
        for _ in range(steps):
            run_step(self.decoder, self, self.optimizer, self.done, Ranks(), torch.float32)
            self.done += 1
        return (time.perf_counter() - start) / steps


class Clock(TrainerCallback):
    """Times the slice from its second step on, so that the Trainer's own set-up does not count against it."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1:
            self.begin = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.end = time.perf_counter()


def peer_slice(model: SmolLM3ForCausalLM, data: Sequence[Batch], steps: int, folder: str) -> float:
    """Run ``steps`` + 1 steps of transformers.Trainer; return seconds per step."""
    # its labels are shifted inside the model: label t belongs to token t, so ours move one to the right
    rows = []
    for batch in data:
        for tokens, labels in zip(batch.tokens, batch.labels, strict=True):
            rows.append({"input_ids": tokens, "labels": np.concatenate([[-100], labels[:-1]])})
    clock = Clock()
    arguments = TrainingArguments(
        output_dir=folder, per_device_train_batch_size=len(data[0].tokens), max_steps=steps + 1, learning_rate=1e-3,
        optim="adamw_torch_fused", report_to=[], save_strategy="no", logging_strategy="no", use_cpu=True,
        dataloader_num_workers=0, disable_tqdm=True, max_grad_norm=1.0, lr_scheduler_type="constant",
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[clock]).train()
    return (clock.end - clock.begin) / steps


def compare(name: str, supervised: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the claim's figures: tokens per second of each side and their ratio."""
    config = preset(arguments.preset)
    decoder = initialise(Decoder(config), 0)
    data = batches(arguments.steps + 1, arguments.rows, arguments.length, config.vocab_size, supervised)
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(decoder, Path(folder) / "model")
        model = SmolLM3ForCausalLM.from_pretrained(Path(folder) / "model", dtype=torch.float32)
        ours = Ours(decoder, data)
        ours.slice(1), peer_slice(model, data, 1, folder)
        pairs = [
            (ours.slice(arguments.steps), peer_slice(model, data, arguments.steps, folder))
            for _ in range(arguments.slices)
        ]
    tokens = arguments.rows * arguments.length
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    mine, theirs = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    print(f"{name}: ours {tokens / mine:.0f} tokens/s, transformers.Trainer {tokens / theirs:.0f}, ratio {ratio:.2f} "
          f"(slices: {', '.join(f'{t / m:.2f}' for m, t in pairs)}), target {TARGET}")  # fmt: skip
    return {"ours": tokens / mine, "peer": tokens / theirs, "ratio": ratio, "target": TARGET, "unit": "tokens/s"}


def main() -> None:
    """Compare pretraining-like and SFT-like batches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=4, help="steps of a slice")
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    claims = {
        "train_cpu_all_tokens": compare("all tokens are targets", 1.0, arguments),
        "train_cpu_answers_only": compare("30% of the tokens are targets", 0.3, arguments),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(claims, indent=2) + "\n")


if __name__ == "__main__":
    main()
