"""The models of earlier stages, opened for evaluation.

Input: finished artifacts of the training, merge, tokenizer and synthesize stages. Output: ``ChatModel`` and
``CallModel`` objects over the torch reference generator.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smolforge.errors import ConfigError, nearest
from smolforge.generator import Generator
from smolforge.store import StageContext, read_json
from smolforge.tasks.chat import ChatModel
from smolforge.tasks.fixed_call import CallModel
from smolforge.tokens.template import ChatCodec


def model_folder(context: StageContext, stage: str) -> Path:
    """Return the model folder a stage wrote; ConfigError where the stage is not among the inputs."""
    if stage not in context.inputs:
        known = ", ".join(context.inputs)
        raise ConfigError(f"evaluate: no stage '{stage}' before it{nearest(stage, context.inputs)}; there are: {known}")
    return context.inputs[stage].path / "model"


def open_generator(folder: Path, *, window: int | None = None, yarn_factor: float | None = None) -> Generator:
    """Open a model folder in float32. ``window``: the trained context; ``yarn_factor`` extends it by YaRN."""
    from smolforge.model.checkpoint import load_pretrained
    from smolforge.model.config import YarnConfig
    from smolforge.model.generator import TorchGenerator

    if window is None:
        return TorchGenerator(load_pretrained(folder))
    yarn = None if yarn_factor is None else YarnConfig(yarn_factor, window)
    longest = int(window * (yarn_factor or 1.0))
    return TorchGenerator(load_pretrained(folder, rope_scaling=yarn, max_position_embeddings=longest))


def open_codec(context: StageContext) -> ChatCodec:
    """Open the tokenizer stage's tokenizer."""
    if "tokenizer" not in context.inputs:
        raise ConfigError("evaluate: needs the tokenizer stage before it")
    return ChatCodec.open(context.inputs["tokenizer"].path)


def open_call_model(context: StageContext, stage: str, *, show_tools: bool) -> CallModel:
    """Open a stage's model with the synthesize stage's tool list."""
    tools: Any = read_json(context.inputs["synthesize"].path / "tools.json")
    folder = model_folder(context, stage)
    shape = read_json(folder / "config.json")
    size, positions = int(shape["vocab_size"]), int(shape["max_position_embeddings"])
    model = ChatModel(open_generator(folder), open_codec(context), size, positions)
    return CallModel(model, tools, show_tools)


def trained_window(context: StageContext, stage: str) -> int:
    """Return the longest sequence length a training stage used, in tokens, from its manifest."""
    config = context.inputs[stage].manifest.config
    lengths = [phase.get("sequence_length") or config["sequence_length"] for phase in config.get("phases", [])]
    return int(max(lengths, default=config.get("sequence_length", 0)))
