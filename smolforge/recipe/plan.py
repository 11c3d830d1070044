"""The dry run: what a recipe would take. Tokens, FLOPs, memory, days and energy, stage by stage, before anything runs.

Input is a checked Recipe; output is a Plan: numbers, notes worth knowing, and problems that would stop a run. The
accelerator, its use (MFU) and its power are stated in the recipe's ``plan`` section, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from smolforge.errors import ConfigError, SmolforgeError
from smolforge.model.config import ModelConfig
from smolforge.model.presets import preset
from smolforge.recipe.memory import per_accelerator
from smolforge.recipe.mixture import mixture_plan
from smolforge.recipe.plan_checks import check_phases, check_preference, check_recipe
from smolforge.recipe.runner import finished
from smolforge.recipe.schema import PlanConfig, Recipe, Step, identify
from smolforge.tokens.mixture_plan import MixturePlan
from smolforge.train.config import LoopConfig, PhaseConfig, PreferenceConfig, TrainConfig

SECONDS_PER_DAY = 86_400.0
# Preference tuning also runs the reference model over every pair once: one forward (1) beside forward + backward (3).
REFERENCE_SHARE = 4 / 3


@dataclass(frozen=True)
class PhasePlan:
    """A stretch of steps: ``tokens`` = steps x ``batch_tokens``; ``micro_tokens`` pass through a replica at a time."""

    name: str
    steps: int
    sequence_length: int
    batch_tokens: int
    tokens: int
    flops: float
    rope_theta: float
    micro_tokens: int


@dataclass(frozen=True)
class StagePlan:
    """One stage. Stages that do not train have no phases and cost nothing here. Memory in bytes, by what holds it."""

    name: str
    id: str
    finished: bool
    phases: list[PhasePlan] = field(default_factory=list)
    accelerators: int = 0
    memory: dict[str, float] = field(default_factory=dict)
    days: float = 0.0
    energy_kwh: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens read by all phases."""
        return sum(phase.tokens for phase in self.phases)

    @property
    def flops(self) -> float:
        """FLOPs of all phases."""
        return sum(phase.flops for phase in self.phases)


@dataclass(frozen=True)
class Plan:
    """The whole dry run."""

    name: str
    parameters: int
    assumptions: dict[str, Any]
    stages: list[StagePlan]
    mixture: MixturePlan
    notes: list[str]
    problems: list[str]

    def total(self, names: Iterable[str] | None = None) -> dict[str, float]:
        """Return tokens, flops, days and energy_kwh, summed over the named stages (all)."""
        chosen = [stage for stage in self.stages if names is None or stage.name in set(names)]
        return {key: sum(getattr(s, key) for s in chosen) for key in ("tokens", "flops", "days", "energy_kwh")}

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON value."""
        stages = [{**asdict(s), "tokens": s.tokens, "flops": s.flops} for s in self.stages]
        return {**asdict(self), "stages": stages, "total": self.total()}


def make_plan(recipe: Recipe) -> Plan:
    """Work out the plan. Raises nothing for a wrong number: it is listed under ``problems``."""
    model = _model(recipe)
    parameters = model.parameter_count() if model else 0
    notes, problems = check_recipe(recipe)
    stages = []
    for step in identify(recipe):
        section = recipe.sections[step.stage.name]
        done = _is_finished(recipe, step)
        if model is None or not isinstance(section, LoopConfig):
            stages.append(StagePlan(step.stage.name, step.id, done))
            continue
        if isinstance(section, TrainConfig):
            phases = [_phase(section, phase, model) for phase in section.phases]
            found = check_phases(step.stage.name, section, model, recipe)
            model = _after(section, model)
        else:
            assert isinstance(section, PreferenceConfig)
            phases = [_pairs(section, model)]
            found = check_preference(section, recipe)
        notes, problems = notes + found[0], problems + found[1]
        stages.append(_stage(step, done, section, phases, model, recipe.header.plan))
    mixture = mixture_plan(recipe)
    notes, problems = notes + mixture.notes, problems + mixture.problems
    plan = Plan(
        recipe.header.name,
        parameters,
        recipe.header.plan.model_dump(mode="json", exclude={"expect", "tokens"}),
        stages,
        mixture,
        notes,
        problems,
    )
    return Plan(**{**vars(plan), "problems": problems + _unexpected(plan, recipe.header.plan)})


def _model(recipe: Recipe) -> ModelConfig | None:
    if recipe.header.model is None:
        return None
    overrides = {key: value for key, value in recipe.header.model.items() if key != "preset"}
    return preset(str(recipe.header.model["preset"]), **overrides)


def _after(config: TrainConfig, model: ModelConfig) -> ModelConfig:
    """Return the model as the stage leaves it: with its last RoPE base and its longest context."""
    theta = next((phase.rope_theta for phase in reversed(config.phases) if phase.rope_theta), model.rope_theta)
    longest = max(phase.sequence_length or config.sequence_length for phase in config.phases)
    positions = max(longest, model.max_position_embeddings)
    return model.with_(rope_theta=theta, max_position_embeddings=positions)


def check(recipe: Recipe) -> None:
    """Raise ConfigError for the first number or name that would stop a run, before it has begun."""
    problems = make_plan(recipe).problems
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise ConfigError(f"{recipe.source}: {problems[0]}{more}")


def _is_finished(recipe: Recipe, step: Step) -> bool:
    try:
        return finished(recipe.output, step) is not None
    except SmolforgeError:
        return False


def _phase(config: TrainConfig, phase: PhaseConfig, model: ModelConfig) -> PhasePlan:
    length = phase.sequence_length or config.sequence_length
    rows = phase.batch_sequences or config.batch_sequences
    sequences = rows * (phase.accumulation or config.accumulation) * config.parallel.data
    tokens = phase.steps * sequences * length
    flops = tokens * model.flops_per_token(length)
    theta = phase.rope_theta or model.rope_theta
    return PhasePlan(phase.name, phase.steps, length, sequences * length, tokens, flops, theta, rows * length)


def _pairs(config: PreferenceConfig, model: ModelConfig) -> PhasePlan:
    """At most: every prompt with its answer, chosen and rejected, as long as is allowed."""
    batch = 2 * config.batch_sequences * config.accumulation * config.parallel.data * config.max_length
    flops = config.steps * batch * model.flops_per_token(config.max_length) * REFERENCE_SHARE
    return PhasePlan(
        "pairs (at most)",
        config.steps,
        config.max_length,
        batch,
        config.steps * batch,
        flops,
        model.rope_theta,
        2 * config.batch_sequences * config.max_length,
    )


def _stage(
    step: Step, done: bool, config: LoopConfig, phases: list[PhasePlan], model: ModelConfig, plan: PlanConfig
) -> StagePlan:
    parallel = config.parallel
    accelerators = parallel.data * parallel.tensor * parallel.context
    seconds = sum(phase.flops for phase in phases) / (accelerators * plan.peak_tflops * 1e12 * plan.mfu)
    rows = [phase.micro_tokens for phase in phases]
    return StagePlan(
        step.stage.name,
        step.id,
        done,
        phases,
        accelerators,
        per_accelerator(model, parallel, max(rows), config.optimizer.name, config.precision),
        seconds / SECONDS_PER_DAY,
        seconds / 3600 * accelerators * plan.watts / 1000,
    )


def _unexpected(plan: Plan, config: PlanConfig) -> list[str]:
    """Compare with what the recipe says the numbers come to, and the memory with what one accelerator has."""
    figures: dict[str, float] = {"parameters": plan.parameters, **{s.name: s.tokens for s in plan.stages}}
    problems = [
        f"plan.expect.{name}: stated {stated:.6g}, but the recipe comes to {figures.get(name, 0):.6g}"
        for name, stated in config.expect.items()
        if abs(figures.get(name, 0) - stated) > 1e-3 * stated
    ]
    for stage in plan.stages:
        need = sum(stage.memory.values())
        if config.memory_gib is not None and need > config.memory_gib * 2**30:
            problems.append(
                f"{stage.name}: needs about {need / 2**30:.0f} GiB per accelerator, which has {config.memory_gib:g}; "
                "lower batch_sequences, or raise parallel.tensor or parallel.context"
            )
    return problems
