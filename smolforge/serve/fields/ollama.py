"""The bodies of Ollama's routes (``/api/…``), as its clients send them.

What is not listed is refused by name, and so is what is listed and cannot be done here (``images``, ``template``,
``context``, …) unless it is empty: clients send many of their fields empty.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from smolforge.serve.body import Fields
from smolforge.serve.fields.chat import MAX_CALLS, MAX_MESSAGES, MAX_TOOLS, Tool
from smolforge.serve.fields.sampling import MAX_STOPS, Label, Penalty, Probability, StopText

MAX_INPUTS = 2048


def _empty(value: Any) -> Any:
    if value:
        raise ValueError("not supported by this server; leave it out")
    return value


Unsupported = Annotated[Any, AfterValidator(_empty)]
Name = Annotated[str, Field(min_length=1, max_length=512)]


class OllamaOptions(Fields):
    """How tokens are chosen. ``num_ctx`` asks for room that is there or not: it never changes the model's context.

    ``num_predict`` below 0 is what Ollama calls endless: as many tokens as this server gives where nobody says.
    """

    num_ctx: Annotated[int, Field(ge=1)] | None = None
    num_predict: Annotated[int, Field(ge=-2, lt=1 << 31)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    top_p: Probability | None = None
    min_p: Annotated[float, Field(ge=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=MAX_STOPS)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None


class Asked(Fields):
    """What chat and generate share. ``keep_alive`` is without effect: the model stays while the server runs."""

    model: Name
    stream: bool = True
    options: OllamaOptions = OllamaOptions()
    format: Literal["", "json"] | dict[str, Any] | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    keep_alive: float | int | str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class CalledFunction(Fields):
    """A call the model made, its arguments as an object."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    index: int | None = None


class MadeCall(Fields):
    """A call in an assistant message."""

    id: Label | None = None
    function: CalledFunction


class OllamaMessage(Fields):
    """One message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: Unsupported = None
    tool_calls: Annotated[list[MadeCall], Field(max_length=MAX_CALLS)] | None = None
    tool_name: Label | None = None
    tool_call_id: Label | None = None


class OllamaChat(Asked):
    """``POST /api/chat``; without messages it only asks for the model to be there."""

    messages: Annotated[list[OllamaMessage], Field(max_length=MAX_MESSAGES)] = Field(default_factory=list)
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None


class OllamaGenerate(Asked):
    """``POST /api/generate``; ``raw`` continues the prompt as it is, without the chat template."""

    prompt: str = ""
    system: str = ""
    raw: bool = False
    suffix: Unsupported = None
    template: Unsupported = None
    context: Unsupported = None
    images: Unsupported = None


class OllamaEmbed(Fields):
    """``POST /api/embed``; a text longer than the context is cut unless ``truncate`` is false, as Ollama has it."""

    model: Name
    input: str | Annotated[list[str], Field(max_length=MAX_INPUTS)]
    truncate: bool = True
    options: OllamaOptions = OllamaOptions()
    keep_alive: float | int | str | None = None
    dimensions: Unsupported = None


class OllamaShow(Fields):
    """``POST /api/show``."""

    model: Name
    verbose: bool | None = None
