"""The body of ``POST /v1/responses``. Nothing is stored, so what refers to stored responses is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from smolforge.serve.body import Fields
from smolforge.serve.fields.chat import MAX_CALLS, MAX_MESSAGES, MAX_PARTS, MAX_TOOLS, Effort, FunctionName
from smolforge.serve.fields.sampling import Label, Probability

LOGPROBS = "message.output_text.logprobs"
Nothing = Annotated[list[Any], Field(max_length=0)]


class InputPart(Fields):
    """A piece of text: said by a person, or by the model before."""

    type: Literal["input_text", "output_text", "reasoning_text", "text"]
    text: str
    annotations: Nothing | None = None
    logprobs: list[Any] | None = None


Content = str | Annotated[list[InputPart], Field(max_length=MAX_PARTS)]


class InputItem(Fields):
    """A message, a call the model made, what it returned, or what the model thought; as outputs give them."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    id: Label | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content | None = None
    phase: None = None
    call_id: Label | None = None
    name: Label | None = None
    arguments: str | None = None
    output: Content | None = None
    summary: Nothing | None = None
    encrypted_content: None = None


class FunctionTool(Fields):
    """A function the model may call; ``parameters`` is a JSON schema of its arguments."""

    type: Literal["function"]
    name: FunctionName
    description: Annotated[str, Field(max_length=8192)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedFunction(Fields):
    """The one function that must be called."""

    type: Literal["function"]
    name: FunctionName


class TextFormat(Fields):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    name: Annotated[str, Field(max_length=128)] | None = None
    description: Annotated[str, Field(max_length=8192)] | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextOptions(Fields):
    """About the text of the answer."""

    format: TextFormat | None = None


class ReasoningOptions(Fields):
    """How much to reason; there are no summaries of it."""

    effort: Effort | None = None
    summary: None = None


class ResponseFields(Fields):
    """A conversation to go on with."""

    model: Annotated[str, Field(max_length=512)] | None = None
    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES + MAX_CALLS)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedFunction | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    stream: bool | None = None
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)] | None = None
    user: Label | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    service_tier: Literal["auto", "default"] | None = None
    truncation: Literal["disabled"] | None = None
    store: Literal[False] | None = None
    background: Literal[False] | None = None
    previous_response_id: None = None
