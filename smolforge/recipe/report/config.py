"""Configuration of the ``report`` stage: the title and what the run was meant to reach.

Read by the recipe. A target names one of the metrics of docs/reference/metrics.md and a bound.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from smolforge.store.config import Config


class Target(Config):
    """One figure to reach: exactly one of ``at_least``, ``at_most``, ``above``, ``below``."""

    metric: str
    label: str = ""
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Target:
        if sum(bound is not None for bound in (self.at_least, self.at_most, self.above, self.below)) != 1:
            raise ValueError(f"target '{self.metric}': give exactly one of at_least, at_most, above, below")
        return self

    def reached(self, value: float) -> bool:
        """Say whether ``value`` satisfies the bound."""
        if self.at_least is not None:
            return value >= self.at_least
        if self.at_most is not None:
            return value <= self.at_most
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below

    @property
    def bound(self) -> tuple[str, float]:
        """The comparison sign and the number."""
        signs = {"≥": self.at_least, "≤": self.at_most, ">": self.above, "<": self.below}
        return next((sign, value) for sign, value in signs.items() if value is not None)


class ReportConfig(Config):
    """``title`` heads the page; ``targets`` become its first table."""

    title: str = "Run report"
    targets: tuple[Target, ...] = Field(default=())
