"""The body of ``POST /v1/completions``: text or token ids to be continued as they are."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from smolforge.serve.fields.sampling import SamplingFields

MAX_PROMPTS = 128
MAX_TOKENS = 1 << 20  # ids of one prompt; what the model's context allows is less
TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]
Tokens = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_TOKENS)]
Prompts = (
    str
    | Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS)]
    | Tokens
    | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_PROMPTS)]
)


def each_prompt(given: Prompts) -> list[str | list[int]]:
    """Return the prompts as a list."""
    if isinstance(given, str):
        return [given]
    if isinstance(given[0], int):
        return [given]
    return list(given)


class CompletionFields(SamplingFields):
    """Prompts, each continued ``n`` times. ``echo`` puts each before its answer, also in the log-probabilities."""

    prompt: Prompts
    max_tokens: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool | None = None
    best_of: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _all_are_returned(self) -> Self:
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise ValueError("best_of is not supported, unless it equals n")
        return self
