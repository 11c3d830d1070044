"""The bodies of embeddings and of ``/tokenize``, ``/detokenize`` and ``/apply-template``, with llama.cpp's names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from smolforge.serve.body import Fields
from smolforge.serve.fields.chat import MAX_MESSAGES, MAX_TOOLS, ChatMessage, TemplateOptions, Tool
from smolforge.serve.fields.completions import Prompts, Tokens
from smolforge.serve.fields.sampling import Label


class TokenizeFields(Fields):
    """A text, as ``content`` (llama.cpp) or ``prompt`` (vLLM).

    ``add_special``: with the begin token, where the model wants one. ``with_pieces``: with their texts.
    ``parse_special``: text that spells a control token is one; unless said otherwise so for ``prompt``, as vLLM has it.
    """

    model: Label | None = None
    content: str | None = None
    prompt: str | None = None
    add_special: bool = False
    add_special_tokens: bool = False
    parse_special: bool | None = None
    with_pieces: bool = False

    @model_validator(mode="after")
    def _is_one_text(self) -> Self:
        if (self.content is None) == (self.prompt is None):
            raise ValueError("expected one text, as content or as prompt")
        return self


class DetokenizeFields(Fields):
    """Token ids."""

    model: Label | None = None
    tokens: Tokens


class TemplateFields(Fields):
    """A conversation to be laid out as the model reads it."""

    model: Label | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    chat_template_kwargs: TemplateOptions | None = None


class EmbeddingFields(Fields):
    """Texts, or token ids. ``dimensions`` can only be the model's own."""

    model: Annotated[str, Field(max_length=512)] | None = None
    input: Prompts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: Label | None = None
