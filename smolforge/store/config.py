"""The base of every typed, closed configuration: unknown keys are refused and values cannot change after reading."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen pydantic model that refuses unknown keys; the recipe loader turns its errors into one line each."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
