"""The mixture planner: how much of each source every phase would eat, and what cannot be.

Input is phases with their mixtures and how many tokens there are of each source; output is a row for each phase and
source, with epochs of this phase and of all phases so far, and the problems that would stop a run. Tokens throughout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from smolforge.errors import ConfigError, nearest
from smolforge.tokens.epoch_caps import cap_of, within_limits
from smolforge.tokens.mixture import named_shards

WORTHWHILE_EPOCHS = 4.0  # beyond about four epochs repeated text is worth little (Muennighoff et al., arXiv:2305.16264)


@dataclass(frozen=True)
class PhaseDemand:
    """A phase: ``tokens`` it reads in all, its mixture and caps. ``onward``: the caps hold for all phases together."""

    stage: str
    phase: str
    tokens: float
    mixture: Mapping[str, float]
    max_epochs: Mapping[str, float] = field(default_factory=dict)
    at_cap: Literal["refuse", "redistribute"] = "refuse"
    onward: bool = False

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.stage} ({self.phase})"


@dataclass(frozen=True)
class SourceDemand:
    """A source in a phase. ``there`` is None where nobody has counted, and so are the epochs. ``epochs_so_far`` counts
    this phase and those before it, of every stage."""

    stage: str
    phase: str
    source: str
    share: float
    wanted: float
    there: float | None
    epochs: float | None
    epochs_so_far: float | None
    cap: float | None


@dataclass(frozen=True)
class MixturePlan:
    """The whole plan."""

    rows: list[SourceDemand]
    notes: list[str]
    problems: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


def available(name: str, sizes: Mapping[str, float]) -> float | None:
    """Return the tokens that a name or pattern of a mixture stands for; None where nothing of that name is known."""
    found = named_shards(name, sizes)
    return math.fsum(sizes[each] for each in found) if found else None


def plan_mixtures(phases: Sequence[PhaseDemand], sizes: Mapping[str, float], *, complete: bool = False) -> MixturePlan:
    """Work out every phase. ``sizes``: tokens of one epoch by source; ``complete``: a name that is not there is a
    mistake. Raises nothing: what cannot be is listed under ``problems``, each with what to change."""
    plan = MixturePlan([], [], [])
    eaten: dict[str, float] = {}  # tokens of each name that the phases before have read
    begun: dict[tuple[str, str], float] = {}  # the same within a stage that reads onward
    for phase in phases:
        there = {name: available(name, sizes) for name in phase.mixture}
        plan.problems.extend(_missing(phase, there, sizes) if complete else ())
        before = {name: begun.get((phase.stage, name), 0.0) if phase.onward else 0.0 for name in phase.mixture}
        try:
            wanted = _wanted(phase, there, before)
        except ConfigError as error:
            plan.problems.append(f"{phase.where}: {error}")
            wanted = _by_weight(phase)
        for name, tokens in wanted.items():
            eaten[name] = eaten.get(name, 0.0) + tokens
            begun[phase.stage, name] = begun.get((phase.stage, name), 0.0) + tokens
            row = _row(phase, name, tokens, there[name], eaten[name])
            plan.rows.append(row)
            plan.problems.extend(_beyond_cap(phase, row, before[name]))
    plan.notes.extend(_repeated(plan.rows))
    return plan


def _by_weight(phase: PhaseDemand) -> dict[str, float]:
    total = math.fsum(phase.mixture.values())
    return {name: phase.tokens * weight / total for name, weight in phase.mixture.items()}


def _wanted(phase: PhaseDemand, there: Mapping[str, float | None], before: Mapping[str, float]) -> dict[str, float]:
    """Return the tokens of each source: by weight, or with the caps' surplus spread over the others."""
    if phase.at_cap == "refuse":
        return _by_weight(phase)
    limits: list[float | None] = []
    for name in phase.mixture:
        cap, size = cap_of(phase.max_epochs, name), there[name]
        limits.append(None if cap is None or size is None else max(0.0, cap * size - before[name]))
    given = within_limits(list(phase.mixture.values()), limits, phase.tokens)
    return dict(zip(phase.mixture, given, strict=True))


def _row(phase: PhaseDemand, name: str, tokens: float, there: float | None, eaten: float) -> SourceDemand:
    epochs = tokens / there if there else None
    return SourceDemand(
        phase.stage, phase.phase, name, tokens / phase.tokens if phase.tokens else 0.0, tokens, there, epochs,
        eaten / there if there else None, cap_of(phase.max_epochs, name),
    )  # fmt: skip


def _missing(phase: PhaseDemand, there: Mapping[str, float | None], sizes: Mapping[str, float]) -> list[str]:
    """Name the sources of a mixture that nobody has, and those that are empty."""
    return [
        f"{phase.where}: mixture names '{name}', of which there "
        + ("is nothing" + nearest(name, sizes) if size is None else "are no tokens; take it out of the mixture")
        for name, size in there.items()
        if not size
    ]


def _beyond_cap(phase: PhaseDemand, row: SourceDemand, before: float) -> list[str]:
    if row.cap is None or not row.there:
        return []
    epochs = (before + row.wanted) / row.there
    if epochs <= row.cap * (1 + 1e-9):
        return []
    allowed = max(0.0, row.cap * row.there - before)
    return [
        f"{phase.where}: '{row.source}' would be read {epochs:.1f} times, more than max_epochs {row.cap:g}; lower its "
        f"share to {allowed / phase.tokens:.4g}, or the phase to {allowed / row.wanted:.0%} of its steps, or add "
        f"{(epochs / row.cap - 1) * row.there:.3g} tokens, or set at_cap: redistribute"
    ]


def _repeated(rows: Sequence[SourceDemand]) -> list[str]:
    """Name the sources that are read more often than repeating is worth, once each."""
    most = {row.source: row.epochs_so_far for row in rows if row.epochs_so_far is not None}
    return [
        f"'{name}' is read {epochs:.1f} times in all; beyond about {WORTHWHILE_EPOCHS:g} repeated text is worth little"
        for name, epochs in most.items()
        if epochs > WORTHWHILE_EPOCHS
    ]
