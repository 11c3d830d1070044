"""The ``report`` stage: one page for people and one flat file of figures for machines.

Input: every artifact of the run. Output: ``report.html`` (self-contained) and ``metrics.json``. Stages the recipe does
not have are shown as missing.
"""

from __future__ import annotations

import yaml

from smolforge.recipe.report.blocks import Cell, Code, Section, Table
from smolforge.recipe.report.config import ReportConfig
from smolforge.recipe.report.data_sections import corpus_chapters, made_section, tokenizer_section
from smolforge.recipe.report.gather import Gathered
from smolforge.recipe.report.html import page
from smolforge.recipe.report.metrics import metrics
from smolforge.recipe.report.quality_sections import (
    calls_section,
    exports_section,
    needle_section,
    reasoning_section,
    targets_section,
    text_section,
)
from smolforge.recipe.report.scales import number
from smolforge.recipe.report.training_sections import cost_section, training_section
from smolforge.store import StageContext, StageOutcome, write_atomic, write_json


def run(config: ReportConfig, context: StageContext) -> StageOutcome:
    """Write ``report.html`` and ``metrics.json`` into ``context.work``."""
    gathered = Gathered(context.inputs)
    figures = metrics(gathered)
    known = [(target, figures[target.metric]) for target in config.targets if target.metric in figures]
    reached = sum(target.reached(value) for target, value in known)
    write_json(context.work / "metrics.json", figures)
    html = page(config.title, _subtitle(gathered, figures), sections(config, gathered, figures))
    write_atomic(context.work / "report.html", html.encode())
    context.progress.note(f"targets reached: {reached} of {len(config.targets)}")
    return StageOutcome({"figures": len(figures), "targets": len(config.targets), "targets_reached": reached})


def sections(config: ReportConfig, run: Gathered, figures: dict[str, float]) -> list[Section]:
    """Return the chapters in reading order: first what was reached, last how it was made."""
    return [
        targets_section(config.targets, figures),
        calls_section(run),
        reasoning_section(run),
        text_section(run),
        needle_section(run),
        exports_section(run),
        training_section(run),
        tokenizer_section(run),
        *corpus_chapters(run),
        made_section(run),
        cost_section(run),
        recipe_section(run),
    ]


def recipe_section(run: Gathered) -> Section:
    """The resolved configuration of every stage and the versions it ran with."""
    section = Section("recipe", "Recipe and versions", "No stage has finished.")
    for stage, resolved in run.recipe.items():
        manifest = run.artifacts[stage].manifest
        text = yaml.safe_dump({stage: resolved}, sort_keys=False, allow_unicode=True, width=110)
        section.add(Code(f"{stage}  ·  {manifest.id}  ·  seed {manifest.seed}", text))
    rows = [[Cell(name, "code"), Cell(version, "code")] for name, version in run.libraries.items()]
    return section.add(Table(["library", "version"], rows, "Versions of what the stages imported."))


def _subtitle(run: Gathered, figures: dict[str, float]) -> str:
    parts = []
    if "model.parameters" in figures:
        parts.append(f"{number(figures['model.parameters'])} parameters")
    if "cost.total.wall_s" in figures:
        parts.append(f"{figures['cost.total.wall_s'] / 60:.1f} minutes in all")
    if "cost.training.wall_s" in figures:
        parts.append(f"{figures['cost.training.wall_s'] / 60:.1f} of them training")
    machine = next((run.cost(stage)["machine"] for stage in run.stages if run.cost(stage).get("machine")), None)
    if isinstance(machine, dict):
        parts.append(f"{machine.get('processor', 'unknown processor')}, {machine.get('cores', '?')} cores")
    return " · ".join(parts) or "nothing was measured yet"
