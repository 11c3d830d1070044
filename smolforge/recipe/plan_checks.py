"""The dry run's checks: mixtures, schedules, context against RoPE, and names that must exist.

Input is a Recipe and its training sections; output is two lists of lines: notes (worth knowing) and problems (a real
run would stop, or would not be the run that was meant). Each line begins with the key path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from smolforge.corpus.config import CorpusConfig
from smolforge.errors import ConfigError, nearest
from smolforge.evaluate.config import EvaluateConfig
from smolforge.export.config import ExportConfig
from smolforge.model.config import ModelConfig
from smolforge.recipe.report.config import ReportConfig
from smolforge.recipe.report.metrics import NAMES
from smolforge.recipe.schema import Recipe
from smolforge.tokens.config import TokenizeConfig
from smolforge.tokens.shard_names import text_shard
from smolforge.train.config import MergeConfig, PhaseConfig, PreferenceConfig, ScheduleConfig, TrainConfig
from smolforge.train.schedules import check_schedule

MODEL_STAGES = ("pretrain", "long_context", "midtrain", "sft", "preference", "merge")
Findings = tuple[list[str], list[str]]


def check_recipe(recipe: Recipe) -> Findings:
    """Check what concerns several sections at once."""
    notes, problems = list[str](), list[str]()
    if recipe.header.datasets:
        notes.append(
            f"datasets: {len(recipe.header.datasets)} public datasets are named; a real run needs them fetched first"
        )
    merge = recipe.sections.get("merge")
    if isinstance(merge, MergeConfig) and merge.weight < 1 and merge.with_stage not in recipe.sections:
        problems.append(f"merge.with_stage: no stage '{merge.with_stage}'{nearest(merge.with_stage, recipe.sections)}")
    problems += _models_asked(recipe) + _targets(recipe) + _sets(recipe)
    vocabulary = getattr(recipe.sections.get("tokenizer"), "vocab_size", None)
    model = (recipe.header.model or {}).get("vocab_size")
    if vocabulary and model and vocabulary != model:
        notes.append(f"tokenizer.vocab_size {vocabulary} replaces model.vocab_size {model} when the model is made")
    return notes, problems


def _models_asked(recipe: Recipe) -> list[str]:
    """Name the models that evaluate and export are to open and that no stage of the recipe makes."""
    evaluate, export = recipe.sections.get("evaluate"), recipe.sections.get("export")
    made = [name for name in MODEL_STAGES if name in recipe.sections]
    asked: list[tuple[str, str, Sequence[str]]] = []
    if isinstance(evaluate, EvaluateConfig):
        asked += [("evaluate.subject", evaluate.subject, made)]
        asked += [("evaluate.compare", name, made) for name in evaluate.compare]
        for key, part in (("text", evaluate.text), ("needle", evaluate.needle)):
            asked += [(f"evaluate.{key}.stages", name, MODEL_STAGES) for name in (part.stages if part else ())]
    if isinstance(export, ExportConfig):
        asked += [("export.subject", export.subject, made)]
    return [
        f"{key}: no stage '{name}' with a model{nearest(name, known)}"
        for key, name, known in asked
        if name not in known
    ]


def _sets(recipe: Recipe) -> list[str]:
    """Name the sets that no stage of the recipe makes."""
    if "synthesize" in recipe.sections:
        return []
    named = [
        f"{stage}.{key}"
        for stage, keys in (
            ("tokenizer", ("sets", "document_sets")),
            ("tokenize", ("sets", "document_sets", "preferences")),
        )
        for key in keys
        if getattr(recipe.sections.get(stage), key, None)
    ]
    return [f"{key}: the recipe has no stage 'synthesize' to make it; set it to [] or false" for key in named]


def _targets(recipe: Recipe) -> list[str]:
    """Name the targets whose metric no report can have."""
    report = recipe.sections.get("report")
    if not isinstance(report, ReportConfig):
        return []
    known = re.compile("|".join(re.sub(r"<[^>]*>", r"[^.]+", re.sub(r"([.])", r"\\\1", name)) for name in NAMES))
    return [
        f"report.targets.{index}.metric: no metric '{target.metric}'{nearest(target.metric, NAMES)}"
        for index, target in enumerate(report.targets)
        if not known.fullmatch(target.metric)
    ]


def check_phases(stage: str, config: TrainConfig, model: ModelConfig, recipe: Recipe) -> Findings:
    """Check the phases of one training stage."""
    notes, problems = list[str](), list[str]()
    problems += _schedule(f"{stage}.schedule", config.schedule, config.phases)
    total = sum(phase.steps for phase in config.phases)
    problems += [
        f"{stage}.snapshots: step {step} is past the last step, {total}" for step in config.snapshots if step > total
    ]
    for index, phase in enumerate(config.phases):
        where = f"{stage}.phases.{index} ({phase.name})"
        tolerance = recipe.header.plan.weight_tolerance
        for found, into in zip(_weights(where, phase.mixture, tolerance), (notes, problems), strict=True):
            into += found
        problems += _names(where, phase, recipe)
        length, theta = phase.sequence_length or config.sequence_length, phase.rope_theta or model.rope_theta
        if length > model.max_position_embeddings and stage != "long_context":
            problems.append(
                f"{where}: sequence_length {length} is more than the model's {model.max_position_embeddings} positions"
            )
        if (lowest := rope_signal(theta, length, model.head_dim)) < 0:
            notes.append(
                f"{where}: rope_theta {theta:g} is low for {length} tokens: near the far end similar tokens no longer "
                f"attract attention more than others (minimum {lowest:.1f} < 0)"
            )
    return notes, problems


def check_preference(config: PreferenceConfig, recipe: Recipe) -> Findings:
    """Check the preference stage's schedule and snapshots."""
    problems = [
        f"preference.snapshots: step {step} is past the last step, {config.steps}"
        for step in config.snapshots
        if step > config.steps
    ]
    try:
        check_schedule(config.schedule, config.steps)
    except ConfigError as error:
        problems.append(f"preference.{error}")
    merge = recipe.sections.get("merge")
    soup = isinstance(merge, MergeConfig) and merge.soup
    notes = ["preference.snapshots: none, so the merge's soup is the last model alone"] if soup else []
    return ([] if config.snapshots else notes), problems


@cache
def rope_signal(theta: float, length: int, head_dim: int) -> float:
    """Return min over distances m < ``length`` of sum_i cos(m theta^(-2i/d)).

    While it is at least 0, a query attracts a similar key more than an unrelated one at every distance of the window
    (Men et al., "Base of RoPE bounds context length", arXiv:2405.14591, equation 8).
    """
    frequencies = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    lowest = math.inf
    for start in range(0, length, 8192):
        distances = np.arange(start, min(start + 8192, length))[:, None]
        lowest = min(lowest, float(np.cos(distances * frequencies).sum(axis=1).min()))
    return lowest


def shards(recipe: Recipe) -> set[str]:
    """Return the shards the tokenize stage can write, by name; empty where that cannot be told."""
    corpus, tokenize = recipe.sections.get("corpus"), recipe.sections.get("tokenize")
    if not isinstance(corpus, CorpusConfig) or not isinstance(tokenize, TokenizeConfig):
        return set()
    languages = {*corpus.languages, "code", "math", *(s.language for s in corpus.sources if s.language)}
    if tokenize.shards_by != "language":  # sources name themselves when they are read
        return set()
    text = {text_shard(language) for language in languages}
    return text | {f"held_out-{language}" for language in languages} | {*tokenize.sets, *tokenize.document_sets}


def _schedule(where: str, schedule: ScheduleConfig, phases: Iterable[PhaseConfig]) -> list[str]:
    """Check the stage's schedule over the phases that share it, and each phase's own over its steps."""
    spans = [(where, schedule, sum(phase.steps for phase in phases if phase.schedule is None))]
    spans += [(f"{where}.{p.name}", p.schedule, p.steps) for p in phases if p.schedule is not None]
    problems = []
    for name, each, steps in spans:
        try:
            if steps:
                check_schedule(each, steps)
        except ConfigError as error:
            problems.append(f"{name}: {error}")
    return problems


def _weights(where: str, mixture: Mapping[str, float], tolerance: float | None) -> Findings:
    total = math.fsum(mixture.values())
    if tolerance is not None and abs(total - 1) > tolerance:
        return [], [f"{where}: mixture weights sum to {total:.5f}, farther than {tolerance:g} from 1"]
    if abs(total - 1) > 1e-6:
        kind = "as published, " if tolerance is not None else ""
        return [f"{where}: mixture weights sum to {total:.7g} ({kind}normalised by the reader)"], []
    return [], []


def _names(where: str, phase: PhaseConfig, recipe: Recipe) -> list[str]:
    """Refuse names of a mixture that are no dataset of the recipe and no shard it makes."""
    datasets = recipe.header.datasets
    known, place = (datasets, "under datasets") if datasets else (shards(recipe), "a shard of the tokenize stage")
    return [
        f"{where}: mixture names '{name}', which is not {place}{nearest(name, known)}"
        for name in phase.mixture
        if known and name not in known and "*" not in name
    ]
