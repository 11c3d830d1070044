"""The ``export`` stage: every format the recipe asks for, each with a ``parity.json``, and one table of them all.

In: the finished model, the tokenizer and held-out conversations. Out: ``hf/``, ``gguf/model-*.gguf``, ``exports.json``.
Sizes and losses are of the written files: each is opened again and compared with the float32 model it was made of.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from smolforge.errors import ConfigError, FormatError, nearest
from smolforge.export import gguf, hf, llamacpp, parity, quantize
from smolforge.export.config import ExportConfig
from smolforge.export.importance import column_importance
from smolforge.export.prompts import Item, read_items, read_sequences
from smolforge.export.tokenizer import gguf_tokenizer
from smolforge.formats.gguf_names import expected_shapes
from smolforge.generator import Completion, Request
from smolforge.model.checkpoint import load_pretrained
from smolforge.model.decoder import Decoder
from smolforge.model.generator import TorchGenerator
from smolforge.store import StageContext, StageOutcome, write_json
from smolforge.tokens.template import ChatCodec

TOOLS = "tools.json"


@dataclass
class _Job:
    """What every format needs: the reference model, its answers, and where things are."""

    config: ExportConfig
    work: Path
    tokenizer: Path
    reference: Decoder
    codec: ChatCodec
    items: list[Item]
    wanted: list[Completion]
    importance: gguf.Importance = field(default_factory=dict)


def run(config: ExportConfig, context: StageContext) -> StageOutcome:
    """Write and check every format; ConfigError for missing inputs, FormatError for a model a format cannot express."""
    for left in context.work.iterdir():  # an interrupted try: start over
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    context.progress.start(len(config.formats) + 1, "formats")
    job = _prepare(config, context)
    rows = [_reference_row(job)]
    context.progress.update(1)
    for done, name in enumerate(config.formats, start=2):
        rows.append(_export_hf(job, context) if name == "hf" else _export_gguf(job, name, context))
        context.progress.update(done, format=name)
    write_json(context.work / "exports.json", rows)
    metrics = {
        f"{row['name']}/{key}": float(row[key])
        for row in rows
        for key in ("bytes", "calls_exact", "same_tokens", "tokens_per_second")
        if row[key] is not None
    }
    return StageOutcome(counts={"formats": len(config.formats), "items": len(job.items)}, metrics=metrics)


def _input(context: StageContext, name: str) -> Path:
    if name not in context.inputs:
        raise ConfigError(f"export: no stage '{name}' before it{nearest(name, context.inputs)}")
    return context.inputs[name].path


def _prepare(config: ExportConfig, context: StageContext) -> _Job:
    tokenizer, sets = _input(context, "tokenizer"), _input(context, "synthesize")
    reference = load_pretrained(_input(context, config.subject) / "model").eval()
    codec = ChatCodec.open(tokenizer)
    items = read_items(sets / f"{config.parity_set}.jsonl", codec, config.parity_items, context.seed)
    wanted = parity.answer(reference, items, codec, config.max_new_tokens)
    job = _Job(config, context.work, tokenizer, reference, codec, items, wanted)
    if config.scale_search and config.calibration_set and "gguf-q4_0" in config.formats:
        limit = reference.config.max_position_embeddings
        path = sets / f"{config.calibration_set}.jsonl"
        sequences = read_sequences(path, codec, config.calibration_items, context.seed, limit)
        job.importance = column_importance(reference, sequences)
    return job


def _row(job: _Job, name: str, kind: str, path: Path | None, figures: dict[str, Any], **values: Any) -> dict[str, Any]:
    """One row of ``exports.json``; its keys are a contract with the report."""
    return {
        "name": name,
        "path": str(path.relative_to(job.work)) if path else None,
        "type": kind,
        "bytes": figures["bytes"],
        "tokens_per_second": None,
        "prompt_tokens_per_second": None,
        "speed_of": None,
        "calls_exact": figures["calls_exact"],
        "calls_items": sum(bool(item.calls) for item in job.items),
        "same_tokens": figures.get("greedy_agreement"),
        "parity": figures,
        **values,
    }


def _reference_row(job: _Job) -> dict[str, Any]:
    figures = {
        "bytes": 4 * job.reference.config.parameter_count(),
        "calls_exact": parity.share_exact(job.items, job.wanted, job.codec),
    }
    speed = _torch_speed(job.reference, job.items[: max(1, job.config.llama_cpp_prompts)], job.config.llama_cpp_tokens)
    return _row(job, "reference", "float32", None, figures, tokens_per_second=speed, speed_of="torch, 1 thread")


def _torch_speed(decoder: Decoder, items: Sequence[Item], new_tokens: int) -> float:
    """Return generated tokens per second, one prompt at a time on one thread, prompts included in the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        generator, start, made = TorchGenerator(decoder), time.perf_counter(), 0
        for item in items:
            room = decoder.config.max_position_embeddings - len(item.prompt)
            made += len(generator.generate([Request(item.prompt, min(new_tokens, room))])[0].tokens)
        return made / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)


def _compare(job: _Job, export: Decoder, path: Path) -> dict[str, Any]:
    config = job.config
    figures, _ = parity.parity_figures(
        job.reference,
        export,
        job.items,
        job.wanted,
        job.codec,
        prompts=config.parity_prompts,
        max_new_tokens=config.max_new_tokens,
    )
    return {**parity.file_figures(path), **figures, "no_rope_layers": list(job.reference.config.no_rope_layers)}


def _export_hf(job: _Job, context: StageContext) -> dict[str, Any]:
    folder = job.work / "hf"
    hf.write_folder(folder, job.reference, job.tokenizer, job.config.hf_dtype)
    _copy_tools(context, folder)
    figures = _compare(job, load_pretrained(folder), folder)
    write_json(folder / "parity.json", figures)
    return _row(job, "hf", job.config.hf_dtype, folder, figures)


def _copy_tools(context: StageContext, folder: Path) -> None:
    """Put the functions the model was trained on beside it: who takes the folder away can still make calls."""
    tools = _input(context, "synthesize") / TOOLS
    if tools.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tools, folder / TOOLS)


def _export_gguf(job: _Job, name: str, context: StageContext) -> dict[str, Any]:
    target = name.removeprefix("gguf-").upper()
    path = job.work / "gguf" / f"model-{target.lower()}.gguf"
    _copy_tools(context, path.parent)
    shapes = expected_shapes(gguf.flat(job.reference.config))
    plan = quantize.plan_types(shapes, target, job.config.head_type)
    tokenizer = gguf_tokenizer(job.tokenizer, job.reference.config.vocab_size)
    metadata = gguf.header(job.reference.config, tokenizer, target, job.config.name)
    search = job.config.scale_search
    gguf.write_model(path, job.reference, metadata, plan, importance=job.importance, search=search)
    export = gguf.load_decoder(path)
    figures = _compare(job, export, path)
    figures["architecture"] = metadata["general.architecture"]
    figures["tensor_types"] = {tensor: stored.kind.name for tensor, stored in plan.items()}
    figures["notes"] = {tensor: stored.note for tensor, stored in plan.items() if stored.note}
    figures["llama_cpp"], speeds = _ask_llama_cpp(job, export, path, context)
    write_json(path.with_name(f"{path.stem}.parity.json"), figures)
    return _row(job, name, target, path, figures, **speeds)


def _ask_llama_cpp(job: _Job, export: Decoder, path: Path, context: StageContext) -> tuple[Any, dict[str, Any]]:
    """Compare llama.cpp's greedy tokens with ours from the same file; say so when that cannot be done."""
    items = job.items[: job.config.llama_cpp_prompts]
    if not items:
        return "not checked: llama_cpp_prompts is 0", {}
    if not llamacpp.available():
        return "not checked: xllamacpp not installed", {}
    prompts = [item.prompt for item in items]
    try:
        theirs = llamacpp.run_llama_cpp(path, prompts, job.config.llama_cpp_tokens, job.codec.stop)
    except FormatError as error:
        context.progress.note(str(error))
        return f"failed: {error}", {}
    ours = [given.tokens for given in parity.answer(export, items, job.codec, job.config.llama_cpp_tokens)]
    differing = parity.first_differences(export, prompts, ours, theirs.tokens)
    speeds = {
        "tokens_per_second": theirs.tokens_per_second,
        "prompt_tokens_per_second": theirs.prompt_tokens_per_second,
        "speed_of": "llama.cpp, 1 thread",
    }
    same = len(items) - len(differing)
    return {"prompts": len(items), "same_greedy_tokens": same, "differences": differing, **asdict(theirs)}, speeds
