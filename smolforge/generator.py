"""The narrow protocol between everything that asks and everything that answers.

The torch reference (``smolforge.model.generator``) implements it, and so will the native engine; a task or a benchmark
written against it runs on either, and their answers can be compared token for token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


class Constraint(Protocol):
    """Says which tokens may come next. One object serves one sequence and follows it token by token."""

    def mask(self) -> NDArray[np.bool_] | None:
        """Return a bool array (vocab_size,) of the tokens allowed next; None allows every token."""

    def advance(self, token: int) -> None:
        """Take the token that was chosen."""


@dataclass(frozen=True)
class Sampling:
    """How to choose among allowed tokens. ``temperature`` 0 is greedy (ties: the lowest id)."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0


@dataclass
class Request:
    """One prompt to continue. ``constraint`` starts with the first generated token, or, where
    ``constrain_after`` is given, after that token was generated (the close of a think block)."""

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop: frozenset[int] = frozenset()
    constraint: Constraint | None = None
    constrain_after: int | None = None


@dataclass(frozen=True)
class Completion:
    """What was generated: ``tokens`` without the stop token, and why it ended."""

    tokens: list[int]
    finish: Literal["stop", "length"]


class Generator(Protocol):
    """A model that answers. Greedy answers do not depend on how requests are batched."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Continue every prompt; results in the order of the requests."""

    def score(self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Return the summed log-probability (nats) of each continuation after its prompt."""
