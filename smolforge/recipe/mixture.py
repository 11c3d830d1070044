"""The mixture plan of a recipe: its phases, and how many tokens there are of each source.

Input is a Recipe; output is a ``MixturePlan``. Sizes are counted where the tokenize stage has finished, else stated
under ``datasets`` or ``plan.tokens``.
"""

from __future__ import annotations

from smolforge.errors import SmolforgeError
from smolforge.recipe.runner import finished
from smolforge.recipe.schema import Recipe, identify
from smolforge.tokens.mixture_plan import MixturePlan, PhaseDemand, plan_mixtures
from smolforge.train.config import TrainConfig


def demands(recipe: Recipe) -> list[PhaseDemand]:
    """Return the phases of all training stages, in the order they run."""
    found = []
    for name, section in recipe.sections.items():
        if isinstance(section, TrainConfig):
            for phase in section.phases:
                rows = (phase.batch_sequences or section.batch_sequences) * section.parallel.data
                length = phase.sequence_length or section.sequence_length
                tokens = phase.steps * rows * (phase.accumulation or section.accumulation) * length
                found.append(
                    PhaseDemand(
                        name, phase.name, tokens, phase.mixture, phase.max_epochs, phase.at_cap,
                        section.reading == "onward",
                    )
                )  # fmt: skip
    return found


def counted(recipe: Recipe) -> dict[str, float]:
    """Return the tokens of every shard that the recipe's finished tokenize stage wrote; empty where it has not run."""
    for step in identify(recipe):
        if step.stage.name == "tokenize":
            try:
                artifact = finished(recipe.output, step)
            except SmolforgeError:
                return {}
            shards = artifact.manifest.counts.get("shards", {}) if artifact else {}
            return {name: float(counts["tokens"]) for name, counts in shards.items()}
    return {}


def sizes(recipe: Recipe) -> tuple[dict[str, float], str]:
    """Return tokens of one epoch by source, and where they are from: ``counted``, ``stated`` or ``unknown``."""
    if found := counted(recipe):
        return found, "counted"
    stated = {name: data.tokens * data.keep for name, data in recipe.header.datasets.items() if data.tokens}
    stated |= recipe.header.plan.tokens
    return stated, "stated" if stated else "unknown"


def mixture_plan(recipe: Recipe) -> MixturePlan:
    """Plan the recipe's mixtures; a name without a size is a mistake only where sizes were counted."""
    known, origin = sizes(recipe)
    return plan_mixtures(demands(recipe), known, complete=origin == "counted")
