"""The plugin of simonw's ``llm``: the models of this machine on the engine, in ``llm``'s own process.

Input: ``llm``'s prompts with options, schemas, tools and earlier turns. Output: events as it streams and logs them, and
embeddings. ``llm`` alone imports this module, by the entry point ``llm``; ``llm_answer`` does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, cast

import llm
from llm.models import EmbeddingModel
from llm.parts import StreamEvent
from pydantic import Field

from smolforge.hub.cache import snapshots
from smolforge.hub.local import bundled
from smolforge.hub.places import cache_root

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine

DEFAULT = "smolforge"  # whatever `smolforge chat` opens where nobody names a model
BUNDLED = "smolforge/bundled"


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Offer the default model, the bundled one, and every model of the Hugging Face cache."""
    for name in names():
        register(EdgeModel(name))


@llm.hookimpl
def register_embedding_models(register: Callable[..., None]) -> None:
    """Offer the same models for embeddings: the mean of the final hidden states."""
    for name in names():
        register(EdgeEmbedding(name))


def names() -> list[str]:
    """Return the names of the models that are here; nothing is opened."""
    cached = [
        f"{DEFAULT}/{snapshot.id}{suffix}"
        for snapshot in snapshots(cache_root())
        if "main" in snapshot.refs
        for suffix in ([""] if snapshot.is_folder else []) + [f":{file.name}" for file in snapshot.ggufs]
    ]
    return [DEFAULT, *([BUNDLED] if bundled() else []), *cached]


@cache
def engine_of(name: str) -> Engine:
    """Return the open engine of a model, opened once a process; ConfigError says how to get a model."""
    from smolforge.engine.engine import Engine

    if name == BUNDLED:
        return Engine.open(bundled())
    return Engine.open(None if name == DEFAULT else name.removeprefix(f"{DEFAULT}/"))


class EdgeOptions(llm.Options):
    """What ``-o NAME VALUE`` can set; ``None`` is the engine's own choice."""

    max_tokens: int | None = Field(None, ge=1, description="most tokens of the answer (1024)")
    temperature: float | None = Field(None, ge=0, description="0 is greedy (0.6; 0 for a schema)")
    top_p: float | None = Field(None, description="keep the likeliest tokens up to this probability together (0.95)")
    top_k: int | None = Field(None, description="keep this many of the likeliest tokens; 0: all")
    min_p: float | None = Field(None, description="keep tokens at least this likely, relative to the likeliest")
    repetition_penalty: float | None = Field(None, description="above 1: tokens seen before become less likely")
    seed: int | None = Field(None, description="another seed, another answer")
    stop: str | None = Field(None, description="the answer ends before this text")
    think: bool = Field(False, description="reason first, where the model can")
    thinking_budget: int | None = Field(None, ge=0, description="most tokens of reasoning")


class EdgeModel(llm.Model):
    """One model; it is opened with its first prompt."""

    can_stream = True
    supports_schema = True
    supports_tools = True
    Options = EdgeOptions  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.model_id = name

    def __str__(self) -> str:
        return f"smolforge: {self.model_id}"

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[str | StreamEvent]:
        """Answer a prompt; calls of tools go to ``response``, which runs them."""
        from smolforge.serve.llm_answer import answer  # the engine is not imported for `llm --help`

        yield from answer(engine_of(self.model_id), prompt, response)


class EdgeEmbedding(EmbeddingModel):
    """Embeddings of one model, scaled to length 1."""

    def __init__(self, name: str) -> None:
        self.model_id = name

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:
        """Return a vector for each text."""
        texts = cast("list[str]", list(items))
        return iter(engine_of(self.model_id).embed(texts).tolist())
