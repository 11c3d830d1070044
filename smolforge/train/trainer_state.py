"""What a killed run needs to go on: weights, optimizer tensors and the step, in one folder that appears whole.

Layout: ``trainer/step-N/state.safetensors`` and ``state.json``; the folder is written beside and renamed, then older
ones go. There is no random state to keep: batches are a function of the step, and nothing in training draws random
numbers.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, no_grad

from smolforge.errors import ArtifactError
from smolforge.model.decoder import Decoder
from smolforge.store import fsync_tree, read_json, write_json
from smolforge.train.optimizers import Optimizer

FOLDER = "trainer"


def _tensors(decoder: Decoder, optimizer: Optimizer) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in decoder.named_parameters():
        yield f"model.{name}", parameter
    for name, value in optimizer.tensors():
        yield f"optimizer.{name}", value


def save(work: Path, step: int, decoder: Decoder, optimizer: Optimizer) -> None:
    """Write the state after ``step`` finished steps and remove older ones. A kill leaves the older one whole."""
    root = work / FOLDER
    part, final = root / f".step-{step}.part", root / f"step-{step}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file({name: t.detach().contiguous() for name, t in _tensors(decoder, optimizer)}, part / "state.safetensors")
    write_json(part / "state.json", {"step": step})
    fsync_tree(part)
    part.rename(final)
    for other in root.iterdir():
        if other != final:
            shutil.rmtree(other)


@no_grad()
def load(work: Path, decoder: Decoder, optimizer: Optimizer) -> int:
    """Copy the newest complete state into ``decoder`` and ``optimizer``; return its step, 0 where there is none."""
    folders = [p for p in (work / FOLDER).glob("step-*") if (p / "state.json").is_file()]
    if not folders:
        return 0
    newest = max(folders, key=lambda p: int(p.name.removeprefix("step-")))
    stored = load_file(newest / "state.safetensors")
    for name, value in _tensors(decoder, optimizer):
        if name not in stored or stored[name].shape != value.shape:
            raise ArtifactError(
                f"{newest}: tensor '{name}' does not fit this model; remove the folder to start the stage again"
            )
        value.copy_(stored[name])
    return int(read_json(newest / "state.json")["step"])
