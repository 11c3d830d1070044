"""The entry point of every training stage: pretrain, long_context, midtrain, sft, preference.

Input: token shards, the tokenizer and the model of the stage before (none for pretrain). Output: a Hugging Face model
folder
``model/`` that transformers opens as it is, ``log.jsonl``, and ``snapshots/step-N/`` where the recipe asks for them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from smolforge.errors import ConfigError
from smolforge.model.checkpoint import load_pretrained, save_pretrained
from smolforge.model.decoder import Decoder
from smolforge.model.hf_config import TokenIds
from smolforge.model.initialise import initialise
from smolforge.model.presets import preset
from smolforge.store import Artifact, StageContext, StageOutcome, digest_file, read_json
from smolforge.train import trainer_state
from smolforge.train.config import PreferenceConfig, TrainConfig
from smolforge.train.loop import Objective, train
from smolforge.train.next_token import NextToken
from smolforge.train.precision import resolve
from smolforge.train.preference import REFERENCE, Preference
from smolforge.train.ranks import Ranks, join

DATA_STAGES = ("corpus", "synthesize", "tokenizer", "tokenize")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens.json")


def stage_name(inputs: Mapping[str, Artifact]) -> str:
    """Return the name of the stage whose model this one starts from, or "" for pretraining."""
    before = [name for name in inputs if name not in DATA_STAGES]
    if len(before) > 1:
        raise ConfigError(f"a training stage starts from one model, but got {', '.join(before)}")
    return before[0] if before else ""


def token_ids(tokenizer: Path) -> TokenIds:
    """Return the ids that generation needs, read from the tokenizer stage's ``special_tokens.json``."""
    ids = read_json(tokenizer / "special_tokens.json")["ids"]
    return TokenIds(bos=None, eos=ids["<|im_end|>"], pad=ids["<|pad|>"])


def write_model(decoder: Decoder, folder: Path, tokenizer: Path) -> None:
    """Write a folder that transformers opens: weights, configuration, tokenizer, template."""
    save_pretrained(decoder, folder, ids=token_ids(tokenizer))
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, folder / name)


def _starting_config(config: TrainConfig | PreferenceConfig, inputs: Mapping[str, Artifact], before: str) -> Decoder:
    if before and isinstance(config, TrainConfig) and config.model is not None:
        raise ConfigError(f"'model' describes a model to start from nothing, but this stage goes on from {before}'s")
    if before:
        return load_pretrained(inputs[before].path / "model")
    if not isinstance(config, TrainConfig) or config.model is None:
        raise ConfigError(
            "pretrain: the recipe has no 'model' section, and no earlier stage made a model to start from"
        )
    overrides = {k: v for k, v in config.model.items() if k != "preset"}
    overrides["vocab_size"] = int(read_json(inputs["tokenizer"].path / "special_tokens.json")["vocab_size"])
    return Decoder(preset(str(config.model["preset"]), **overrides))


def _with_positions(decoder: Decoder, config: TrainConfig | PreferenceConfig) -> Decoder:
    """Return the decoder with a context at least as long as the stage trains at; phases set the RoPE base."""
    if not isinstance(config, TrainConfig):
        return decoder
    longest = max(p.sequence_length or config.sequence_length for p in config.phases)
    if longest > decoder.config.max_position_embeddings:
        decoder.config = decoder.config.with_(max_position_embeddings=longest)
    return decoder


def _objective(
    config: TrainConfig | PreferenceConfig, context: StageContext, stage: str, reference: Decoder, ranks: Ranks
) -> Objective:
    shards, device = context.inputs["tokenize"].path, reference.embed.weight.device
    digest = digest_file(context.inputs["tokenizer"].path / "tokenizer.json")
    if isinstance(config, TrainConfig):
        return NextToken(config, shards, digest, stage, context.seed, ranks, device)
    objective = Preference(config, shards, digest, context.seed, ranks, device)
    context.progress.note("reference log-probabilities of the pairs")
    objective.prepare(reference, context.work)
    return objective


def run(config: TrainConfig | PreferenceConfig, context: StageContext) -> StageOutcome:
    """Train one stage; see the module. ConfigError for a mixture, schedule or parallelism that cannot be run."""
    ranks = join(config.parallel)
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    before = stage_name(context.inputs)
    stage = context.work.name.rsplit("-", 1)[0]
    decoder = _starting_config(config, context.inputs, before)
    if not before:
        initialise(decoder, context.seed)
    decoder = _with_positions(decoder, config).to(device)
    backend = decoder.use_backend(config.attention)
    dtype, why = resolve(config.precision, device)
    context.progress.note(f"{stage}: {dtype} ({why}); attention {backend.name} ({backend.reason})")
    objective = _objective(config, context, stage, decoder, ranks)
    tokenizer = context.inputs["tokenizer"].path

    def snapshot(step: int) -> None:
        write_model(decoder, context.work / "snapshots" / f"step-{step}", tokenizer)

    figures = train(
        decoder, objective, config, context.work,
        stage=stage, dtype=dtype, ranks=ranks, progress=context.progress, snapshot=snapshot,
    )  # fmt: skip
    if ranks.is_first:
        write_model(decoder, context.work / "model", tokenizer)
    counts = {
        "parameters": decoder.config.parameter_count(),
        "steps": objective.total_steps,
        "tokens": int(figures.get("tokens", 0)),
        "precision": str(dtype).removeprefix("torch."),
        "precision_reason": why,
        "attention": f"{backend.name}: {backend.reason}",
    }
    shown: dict[str, float] = {k: figures[k] for k in ("loss", "tokens_per_second") if k in figures}
    return StageOutcome(counts, shown, resume_only=(trainer_state.FOLDER, REFERENCE))
