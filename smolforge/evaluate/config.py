"""Configuration of the ``evaluate`` stage: which questions, how many of them, and how answers are decoded.

Read by the recipe. Subsampling is by a keyed hash of each item's id, so a smaller number is a subset of a larger one.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smolforge.store.config import Config


class CallsConfig(Config):
    """Function-call accuracy on the held-out command sets."""

    sets: tuple[str, ...] = ("commands_seen", "commands_templates", "commands_values")
    per_language: int | None = Field(None, gt=0, description="items per set and language; all by default")
    decoding: tuple[Literal["free", "constrained"], ...] = ("free", "constrained")
    max_tokens: int = Field(96, gt=0)
    thinking_budget: int = Field(160, gt=0)
    show_tools: bool = False


class ReasoningConfig(Config):
    """The same problems answered in think and in no_think mode. ``max_tokens`` bounds think block plus answer."""

    set: str = "reasoning_test"
    problems: int | None = Field(None, gt=0)
    max_tokens: int = Field(320, gt=0)
    thinking_budget: int | None = Field(None, gt=0, description="close longer think blocks for the model")


class TextConfig(Config):
    """Bits per byte on held-out documents, beside ``xz -9e``. Byte limits are per language; None takes all."""

    stages: tuple[str, ...] = ("pretrain",)
    held_out_bytes: int | None = Field(60_000, gt=0)
    context_bytes: int | None = Field(None, gt=0, description="training text given to xz; less than all is stated")
    window: int = Field(256, gt=1, description="tokens per scored window; half of it is context after the first")


class NeedleConfig(Config):
    """The needle test. ``stages`` names the models; YaRN is tried on documents longer than the trained window."""

    stages: tuple[str, ...] = ("long_context",)
    per_length: int | None = Field(None, gt=0)
    yarn_factor: float = Field(2.0, gt=1)
    max_tokens: int = Field(24, gt=0)


class EvaluateConfig(Config):
    """The whole stage; a part set to null is left out. ``subject`` is the model that is judged, ``compare`` others
    that answer the same call sets (free decoding only)."""

    subject: str = "merge"
    compare: tuple[str, ...] = ()
    calls: CallsConfig | None = CallsConfig()
    reasoning: ReasoningConfig | None = ReasoningConfig()
    text: TextConfig | None = TextConfig()
    needle: NeedleConfig | None = NeedleConfig()
    batch: int = Field(128, gt=0, description="requests given to the generator at once")
