"""What a generator is asked and what it says: values that are the same whichever machine answers.

Input: messages and parameters. Output: ``Request`` with a ``key`` a sample, which is a digest of its content alone,
so that a reply can be kept and found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from smolforge.store.config import Config
from smolforge.store.digest import digest_json

Message = Mapping[str, str]  # role (system, user, assistant) and content


class Params(Config):
    """How to sample. ``extra`` goes into the body of an HTTP request as it is, for what one kind of server knows
    (``chat_template_kwargs``, say); all of it is part of a request's key."""

    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1, description="of one reply")
    frequency_penalty: float = Field(0.0, ge=-2, le=2, description="keeps a small model from going round in circles")
    stop: tuple[str, ...] = ()
    extra: dict[str, Any] = Field(default_factory=dict)


DEFAULTS = Params()


@dataclass(frozen=True)
class Request:
    """One prompt and how many samples of its answer are wanted, with the seeds ``seed``, ``seed`` + 1, ....

    ``schema``: the JSON schema that the generator is to be held to while it writes (check the reply all the same).
    """

    messages: tuple[Message, ...]
    params: Params = DEFAULTS
    schema: Mapping[str, Any] | None = None
    n: int = 1
    seed: int = 0

    def as_json(self, model: str, sample: int = 0) -> dict[str, Any]:
        """Return everything one sample's reply depends on: the content behind its key."""
        return {
            "model": model,
            "messages": [dict(message) for message in self.messages],
            "params": self.params.model_dump(mode="json"),
            "schema": None if self.schema is None else dict(self.schema),
            "seed": self.seed + sample,
        }

    def key(self, model: str, sample: int = 0) -> str:
        """Return the key of one sample (32 hex digits): asking for more samples later repeats none."""
        return digest_json(self.as_json(model, sample))


@dataclass(frozen=True)
class Sample:
    """One answer, or the ``failure`` that stands for it. ``finish``: why it ended ("stop", "length", ...).

    ``reasoning`` stood in a think block, where the generator keeps that apart. ``tokens``: (prompt, answer), as the
    generator counts them; 0 where it does not say.
    """

    key: str
    text: str = ""
    reasoning: str = ""
    finish: str = ""
    tokens: tuple[int, int] = (0, 0)
    failure: str | None = None


@dataclass(frozen=True)
class Reply:
    """The samples of one request, in the order of their seeds."""

    request: Request
    samples: tuple[Sample, ...] = field(default=())
