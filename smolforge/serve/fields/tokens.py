"""The bodies of ``/tokenize``, ``/detokenize`` and ``/apply-template`` (llama.cpp's names), and of embeddings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from smolforge.serve.body import Fields
from smolforge.serve.fields.chat import MAX_MESSAGES, MAX_TOOLS, ChatMessage, TemplateOptions, Tool
from smolforge.serve.fields.completions import Prompts, Tokens
from smolforge.serve.fields.sampling import Label


class TokenizeFields(Fields):
    """A text. ``add_special``: with the begin token, where the model wants one. ``with_pieces``: with their texts."""

    model: Label | None = None
    content: str
    add_special: bool = False
    with_pieces: bool = False


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
