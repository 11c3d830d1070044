"""The ``evaluate`` stage: asks the finished model everything the recipe wants to know and keeps every answer.

Input: model, tokenizer, corpus and synthesize artifacts. Output: ``results.json``, ``answers/*.jsonl``, and metrics for
the manifest. Each part is measured in its own module; here they are only put together.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smolforge.evaluate import calls, needle, reasoning, text
from smolforge.evaluate.config import EvaluateConfig
from smolforge.evaluate.documents import by_language
from smolforge.evaluate.items import per_language, read_items, subsample
from smolforge.evaluate.models import (
    model_folder,
    open_call_model,
    open_codec,
    open_generator,
    trained_window,
)
from smolforge.evaluate.scoring import ToolIndex
from smolforge.store import StageContext, StageOutcome, write_atomic, write_json


@dataclass
class _Run:
    """One run of the stage: what it was given, what it has counted and found."""

    config: EvaluateConfig
    context: StageContext
    answered: int = 0
    counts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    def report(self, done: int) -> None:
        self.answered += done
        self.context.progress.update(self.answered)

    def keep(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write one answer file."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_atomic(self.context.work / "answers" / f"{name}.jsonl", lines.encode())


def run(config: EvaluateConfig, context: StageContext) -> StageOutcome:
    """Evaluate ``config.subject``; a part whose configuration is null, or whose inputs are missing, is left out."""
    shutil.rmtree(context.work / "answers", ignore_errors=True)
    run = _Run(config, context)
    context.progress.start(None, "answers")
    results: dict[str, Any] = {"subject": config.subject}
    with ThreadPoolExecutor(2) as pool:
        compressing = _start_text(run, pool)
        if config.calls is not None:
            results["calls"] = {name: _calls(run, name) for name in (config.subject, *config.compare)}
        if config.reasoning is not None:
            results["reasoning"] = _reasoning(run)
        if config.needle is not None:
            results["needle"] = {name: _needle(run, name) for name in config.needle.stages if name in context.inputs}
        if compressing is not None:
            results["text"] = _text(run, compressing)
    write_json(context.work / "results.json", results)
    return StageOutcome(run.counts, run.metrics)


def _set_path(run: _Run, name: str, suffix: str = ".jsonl") -> Path:
    return run.context.inputs["synthesize"].path / f"{name}{suffix}"


def _calls(run: _Run, stage: str) -> dict[str, Any]:
    """Answer every command set with one stage's model; only the subject is also decoded under the constraint."""
    config = run.config.calls
    assert config is not None
    if stage != run.config.subject:
        config = config.model_copy(update={"decoding": ("free",)})
    model = open_call_model(run.context, stage, show_tools=config.show_tools)
    found: dict[str, Any] = {}
    for name in config.sets:
        items = per_language(read_items(_set_path(run, name)), config.per_language, run.context.seed)
        run.context.progress.note(f"{stage}: {name}, {len(items)} commands")
        scored = calls.answer_calls(model, items, config, run.config.batch, run.report)
        found[name] = {}
        for decoding, rows in scored.items():
            found[name][decoding] = calls.summarise(rows)
            run.keep(f"{stage}.{name}.{decoding}", (row.as_row() for row in rows))
            run.counts[f"{stage}.{name}.{decoding}"] = len(rows)
            if rows:
                run.metrics[f"exact.{stage}.{name}.{decoding}"] = found[name][decoding]["exact"]["value"]
        found[name]["unreachable"] = len(calls.unreachable(model, items))
    return found


def _reasoning(run: _Run) -> dict[str, Any]:
    config = run.config.reasoning
    assert config is not None
    model = open_call_model(run.context, run.config.subject, show_tools=False)
    problems = reasoning.unique_problems(read_items(_set_path(run, config.set)))
    problems = subsample(problems, config.problems, run.context.seed)
    run.context.progress.note(f"{run.config.subject}: {config.set}, {len(problems)} problems in both modes")
    tools = ToolIndex(model.tools)
    rows, summary = reasoning.compare_modes(model.chat_model, problems, tools, config, run.config.batch, run.report)
    run.keep(f"{run.config.subject}.{config.set}", rows)
    run.counts[config.set] = len(problems)
    for mode in reasoning.MODES if problems else ():
        run.metrics[f"reasoning.{mode}"] = summary[mode]["exact"]["value"]
    return summary


def _start_text(run: _Run, pool: ThreadPoolExecutor) -> dict[str, Any] | None:
    """Read the documents and start the compressor in the background; None where there is nothing to compare."""
    config = run.config.text
    if config is None or "corpus" not in run.context.inputs:
        return None
    corpus = run.context.inputs["corpus"].path
    held_out = by_language(corpus / "held_out", config.held_out_bytes, run.context.seed)
    training = by_language(corpus / "kept", config.context_bytes, run.context.seed)
    return {"held_out": held_out, "training": training, "xz": text.start_xz(pool, held_out, training)}


def _text(run: _Run, work: dict[str, Any]) -> dict[str, Any]:
    """Measure every language with every asked model; state the lowest and which model it is."""
    config = run.config.text
    assert config is not None
    codec = open_codec(run.context)
    models = {s: open_generator(model_folder(run.context, s)) for s in config.stages if s in run.context.inputs}
    found: dict[str, Any] = {}
    for language, documents in work["held_out"].items():
        run.context.progress.note(f"bits per byte: {language}, {len(documents)} documents")
        training = work["training"].get(language, [])
        measured = {
            stage: text.measure_language(
                generator, codec, documents, training, window=config.window, batch=run.config.batch
            )
            for stage, generator in models.items()
        }
        xz = text.xz_summary(work["xz"][language].result())
        found[language] = {"models": measured, "xz": xz}
        if measured:
            best = min(measured, key=lambda stage: measured[stage]["value"])
            found[language]["best"] = best
            run.metrics[f"bits_per_byte.{language}"] = measured[best]["value"]
        run.metrics[f"xz_bits_per_byte.{language}"] = xz["with_context"]
    return found


def _needle(run: _Run, stage: str) -> dict[str, Any]:
    """Test one model within its trained window, and beyond it with and without YaRN."""
    config = run.config.needle
    assert config is not None
    codec, folder = open_codec(run.context), model_folder(run.context, stage)
    window = trained_window(run.context, stage)
    needles = needle.read_needles(_set_path(run, "needle_test", ".docs.jsonl"), config.per_length)
    beyond = needle.longer_than(codec, needles, window)
    limit = int(window * config.yarn_factor)
    too_long = {n.id for n in needle.longer_than(codec, beyond, limit)}
    beyond = [n for n in beyond if n.id not in too_long]
    outside = too_long | {n.id for n in beyond}
    within = [n for n in needles if n.id not in outside]
    tries = {
        "within": (within, open_generator(folder)),
        "beyond_plain": (beyond, open_generator(folder, window=limit)),
        "beyond_yarn": (beyond, open_generator(folder, window=window, yarn_factor=config.yarn_factor)),
    }
    found: dict[str, Any] = {"window": window, "left_out": len(too_long)}
    kept: list[dict[str, Any]] = []
    for label, (documents, generator) in tries.items():
        recalled = needle.recall(generator, codec, documents, batch=run.config.batch, report=run.report)
        found[label] = needle.summarise(recalled, window)
        kept += [needle.as_row(result, label) for result in recalled]
        if recalled:
            run.metrics[f"needle.{stage}.{label}"] = sum(r.right for r in recalled) / len(recalled)
    run.keep(f"{stage}.needle", kept)
    return found
