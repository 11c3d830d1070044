"""The body of ``POST /v1/chat/completions``, with the reasoning fields of llama.cpp and vLLM."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from smolforge.serve.body import Fields
from smolforge.serve.fields.sampling import Label, SamplingFields

MAX_MESSAGES = 1024
MAX_PARTS = 256
MAX_TOOLS = 128
MAX_CALLS = 128
FunctionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class TextPart(Fields):
    """A piece of a message; text alone can be read."""

    type: Literal["text"]
    text: str


class CalledFunction(Fields):
    """A call the model made: ``arguments`` is JSON text, or the object itself."""

    name: str
    arguments: str | dict[str, Any] = "{}"


class MadeCall(Fields):
    """A call in an assistant message."""

    id: Label | None = None
    type: Literal["function"] = "function"
    index: int | None = None
    function: CalledFunction


class ChatMessage(Fields):
    """One message. What clients give back of an answer without saying anything (``refusal: null``) is let pass."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[TextPart], Field(max_length=MAX_PARTS)] | None = None
    name: Label | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: Annotated[list[MadeCall], Field(max_length=MAX_CALLS)] | None = None
    tool_call_id: Label | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None


class Function(Fields):
    """A function the model may call; ``parameters`` is a JSON schema of its arguments."""

    name: FunctionName
    description: Annotated[str, Field(max_length=8192)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Fields):
    """A tool; only functions are known."""

    type: Literal["function"]
    function: Function


class ChosenFunction(Fields):
    """The name of a function."""

    name: FunctionName


class NamedTool(Fields):
    """The one tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class JsonSchema(Fields):
    """OpenAI's wrapping of a schema. Answers always keep to it, ``strict`` or not."""

    model_config = ConfigDict(protected_namespaces=())

    name: Annotated[str, Field(max_length=128)] | None = None
    description: Annotated[str, Field(max_length=8192)] | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Fields):
    """What the answer must be; the schema in OpenAI's shape (``json_schema.schema``) or llama.cpp's (``schema``)."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None


class TemplateOptions(Fields):
    """Variables of the chat template that can be set."""

    enable_thinking: bool | None = None


class ChatFields(SamplingFields):
    """A conversation to go on with."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, lt=1 << 31)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    reasoning_budget: Annotated[int, Field(ge=-1, lt=1 << 31)] | None = None
    thinking_token_budget: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    chat_template_kwargs: TemplateOptions | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None
