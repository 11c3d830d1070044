"""The narrow protocol between everything that asks and everything that answers.

The torch reference (``smolforge.model.generator``) implements it, and so will the native engine; a task or a benchmark
written against it runs on either, and their answers can be compared token for token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from smolforge.errors import ConfigError

Finish = Literal["stop", "length", "cancelled", "timeout"]
DRY_BREAKERS = ("\n", ":", '"', "*")  # llama.cpp's default list
MAX_LOGPROBS = 20  # what the OpenAI API allows
_WHOLE = ("top_k", "seed", "penalty_window", "dry_allowed_length")
_REAL = (
    "temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "dry_multiplier",
    "dry_base",
)  # fmt: skip


def _require(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value!r}, expected {expected}")


class Constraint(Protocol):
    """Says which tokens may come next. One object serves one sequence and follows it token by token."""

    def mask(self) -> NDArray[np.bool_] | None:
        """Return a bool array (vocab_size,) of the tokens allowed next; None allows every token."""

    def advance(self, token: int) -> None:
        """Take the token that was chosen."""


@dataclass(frozen=True)
class Sampling:
    """How to choose among allowed tokens. ``temperature`` 0 is greedy (ties: the lowest id).

    Scores pass through, in this order: ``logit_bias``, ``repetition_penalty`` (CTRL, arXiv 1909.05858: positive scores
    divided, negative ones multiplied) over prompt and answer, ``presence_penalty`` and ``frequency_penalty`` (OpenAI:
    subtracted once, and once an occurrence) over the answer, ``dry_*`` over prompt and answer; the constraint;
    temperature, ``top_k`` (0: all), ``top_p``, ``min_p`` (each over what the one before it left). Penalties look at the
    last ``penalty_window`` tokens, None at all. DRY (off at multiplier 0) takes ``multiplier · base ** (n −
    allowed_length)`` from a token that would make the last n ≥ ``allowed_length`` tokens repeat earlier ones;
    repetitions do not reach across a token that contains one of ``dry_breakers``.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_window: int | None = None
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_breakers: tuple[str, ...] = DRY_BREAKERS
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in _WHOLE:
            value = getattr(self, name)
            _require(name, value, value is None or isinstance(value, Integral), "a whole number")
        for name in _REAL:
            _require(name, getattr(self, name), isinstance(getattr(self, name), Real), "a number")
        _require("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 (greedy) or more")
        _require("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1")
        _require("top_k", self.top_k, self.top_k >= 0, "0 (all tokens) or more")
        _require("seed", self.seed, 0 <= self.seed < 1 << 64, "a whole number from 0 to 2**64 − 1")
        _require("min_p", self.min_p, 0 <= self.min_p < 1, "0 (off) or more, and below 1")
        _require("repetition_penalty", self.repetition_penalty, 0 < self.repetition_penalty < math.inf, "above 0")
        for name in ("presence_penalty", "frequency_penalty"):
            _require(name, getattr(self, name), math.isfinite(getattr(self, name)), "a finite number")
        window = self.penalty_window
        _require("penalty_window", window, window is None or window > 0, "above 0, or None for every token")
        _require("dry_multiplier", self.dry_multiplier, 0 <= self.dry_multiplier < math.inf, "0 (off) or more")
        _require("dry_base", self.dry_base, 1 <= self.dry_base < math.inf, "1 or more")
        _require("dry_allowed_length", self.dry_allowed_length, self.dry_allowed_length >= 1, "1 or more")
        _require("dry_breakers", self.dry_breakers, all(self.dry_breakers), "strings that are not empty")
        for token, bias in self.logit_bias.items():
            _require(f"logit_bias[{token}]", bias, token >= 0 and not math.isnan(bias), "a number, for an id from 0")


@dataclass(frozen=True)
class Thinking:
    """The think block of a model that has one, in token ids; text that merely spells the tags is never one.

    ``opened``: the prompt ends inside the block, otherwise the model may open it as its first token. ``budget`` bounds
    the block's tokens (None: not); where it is used up, ``closing`` (a sentence, may be empty), ``close`` and
    ``after`` (what the template puts behind the block) are written for the model. A request's constraint begins behind
    the block; where the model closes it itself, ``after`` is written for it before the constraint begins.
    """

    open: int
    close: int
    opened: bool = False
    budget: int | None = None
    closing: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require("thinking budget", self.budget, self.budget is None or self.budget >= 0, "0 or more, or None")


@dataclass
class Request:
    """One prompt to continue. ``constraint`` starts with the first generated token, or, where
    ``constrain_after`` is given, after that token was generated (the close of a think block), or behind the block that
    ``thinking`` describes.

    ``stop_strings`` end the answer where its text contains one (not the reasoning); the text ends before it.
    ``logprobs`` asks for the log-probability of each chosen token and of that many likeliest ones, under the model's
    own distribution (before bias, penalties, constraint and temperature). ``speculate`` allows drafts; they never
    change an answer. A higher ``priority`` is served first; ``timeout`` is in seconds from submission.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop: frozenset[int] = frozenset()
    constraint: Constraint | None = None
    constrain_after: int | None = None
    stop_strings: tuple[str, ...] = ()
    logprobs: int | None = None
    thinking: Thinking | None = None
    speculate: bool = True
    priority: int = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        _require("max_tokens", self.max_tokens, isinstance(self.max_tokens, Integral), "a whole number")
        _require("sampling", self.sampling, isinstance(self.sampling, Sampling), "a Sampling")
        _require("priority", self.priority, isinstance(self.priority, Integral), "a whole number")
        _require("stop_strings", self.stop_strings, all(self.stop_strings), "strings that are not empty")
        n, seconds = self.logprobs, self.timeout
        known = n is None or (isinstance(n, Integral) and 0 <= n <= MAX_LOGPROBS)
        _require("logprobs", n, known, f"0 to {MAX_LOGPROBS}, or None")
        late = seconds is not None and not (isinstance(seconds, Real) and seconds > 0)
        _require("timeout", seconds, not late, "more than 0 seconds, or None")
        if self.thinking is not None and self.constrain_after is not None:
            raise ConfigError("give either thinking or constrain_after; with thinking, a constraint waits by itself")


@dataclass(frozen=True)
class TokenLogprob:
    """Natural log-probability of a chosen token, and (token, log-probability) of the likeliest ones, best first.

    A token that was written for the model (the close of a think block) has 0.0 and no list.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Usage:
    """Token counts of one request: of the prompt, how many of those came from a cache; generated, how many of those
    were reasoning; proposed as drafts, and how many of those were right."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    drafted_tokens: int
    accepted_tokens: int


@dataclass(frozen=True)
class TextDelta:
    """The next piece of the answer: whole characters, never part of a stop string."""

    text: str


@dataclass(frozen=True)
class ReasoningDelta:
    """The next piece of what stands in the think block."""

    text: str


@dataclass(frozen=True)
class LogprobsDelta:
    """The log-probabilities of the tokens chosen in this step, in order."""

    tokens: tuple[TokenLogprob, ...]


@dataclass(frozen=True)
class Finished:
    """The last event of a request. ``stop`` is the id or string that ended it, where one did.

    ``logprob`` is that of an id that ended it, which is not among the answer's tokens; where they are wanted.
    """

    finish: Finish
    usage: Usage
    stop: int | str | None = None
    logprob: TokenLogprob | None = None


Event = TextDelta | ReasoningDelta | LogprobsDelta | Finished


@dataclass(frozen=True)
class Completion:
    """What was generated: ``tokens`` without the stop token, why it ended, and the ``logprobs`` that were asked for."""

    tokens: list[int]
    finish: Finish
    logprobs: tuple[TokenLogprob, ...] = ()


class Generator(Protocol):
    """A model that answers. Greedy answers do not depend on how requests are batched."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Continue every prompt; results in the order of the requests."""

    def score(self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Return the summed log-probability (nats) of each continuation after its prompt."""
