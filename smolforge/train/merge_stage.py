"""Merging: a soup of the preference stage's checkpoints, then a linear merge with an earlier model.

Input: model folders of one family. Output: ``model/`` and ``merge.json``. SmolLM3 ends so: 0.9 × soup of APO
checkpoints + 0.1 × a mid-training checkpoint with strong long-context behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from smolforge.errors import ConfigError, FormatError, nearest
from smolforge.model.checkpoint import load_pretrained, load_tensors, read_tensors
from smolforge.store import StageContext, StageOutcome, digest_file, write_json
from smolforge.train.config import MergeConfig
from smolforge.train.stage import write_model

Tensors = Mapping[str, Tensor]


def linear_merge(models: Sequence[tuple[float, Tensors]]) -> dict[str, Tensor]:
    """Return Σ weight · model, tensor by tensor, summed in float64 and returned as float32. FormatError where shapes
    differ.
    """
    names = set(models[0][1])
    for _, tensors in models[1:]:
        if set(tensors) != names:
            raise FormatError(f"merge: the models differ in tensors: {sorted(names ^ set(tensors))[:3]}")
    merged = {}
    for name in sorted(names):
        shapes = {tuple(t[name].shape) for _, t in models}
        if len(shapes) > 1:
            raise FormatError(f"merge: tensor '{name}' has different shapes {sorted(shapes)}")
        merged[name] = torch.stack([w * t[name].double() for w, t in models]).sum(0).float()
    return merged


def _same_tokenizer(folders: Sequence[Path]) -> None:
    digests = {digest_file(f / "tokenizer.json") for f in folders}
    if len(digests) > 1:
        raise ConfigError(f"merge: the models have different tokenizers: {', '.join(map(str, folders))}")


def run(config: MergeConfig, context: StageContext) -> StageOutcome:
    """Merge and write the model folder. ConfigError when ``with_stage`` is not among the inputs."""
    base = context.inputs["preference"].path
    if config.weight < 1 and config.with_stage not in context.inputs:
        raise ConfigError(
            f"merge.with_stage: no stage '{config.with_stage}'{nearest(config.with_stage, context.inputs)}"
        )
    parts = [*sorted((base / "snapshots").glob("step-*")), base / "model"] if config.soup else [base / "model"]
    weights = [config.weight / len(parts)] * len(parts)
    if config.weight < 1:
        parts.append(context.inputs[config.with_stage].path / "model")
        weights.append(1 - config.weight)
    _same_tokenizer(parts)
    merged = linear_merge([(w, read_tensors(p)) for w, p in zip(weights, parts, strict=True)])
    decoder = load_tensors(load_pretrained(base / "model"), merged, where="merge")
    write_model(decoder, context.work / "model", context.inputs["tokenizer"].path)
    table = [{"model": f"{p.parent.name}/{p.name}", "weight": w} for p, w in zip(parts, weights, strict=True)]
    write_json(context.work / "merge.json", table)
    return StageOutcome(counts={"models": len(parts), "parameters": decoder.config.parameter_count()})
