"""``POST /tokenize``, ``/detokenize`` and ``/apply-template``: what the model reads, without running it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from smolforge.engine.engine import Engine
from smolforge.serve.asking import messages_of
from smolforge.serve.body import checked
from smolforge.serve.fields.tokens import DetokenizeFields, TemplateFields, TokenizeFields
from smolforge.serve.serving import serving_of
from smolforge.serve.tokenizing import known, with_controls
from smolforge.serve.tool_asking import tool_use

router = APIRouter()


@router.post("/tokenize")
async def tokenize(request: Request) -> dict[str, Any]:
    """Return the token ids of a text."""
    fields, serving = await checked(request, TokenizeFields), serving_of(request)
    serving.expect(fields.model)
    return await serving.off_loop(_tokenized, serving.engine, fields)


@router.post("/detokenize")
async def detokenize(request: Request) -> dict[str, Any]:
    """Return the text of token ids, control tokens included."""
    fields, serving = await checked(request, DetokenizeFields), serving_of(request)
    serving.expect(fields.model)
    engine = serving.engine
    text = await serving.off_loop(lambda: engine.codec.decode(known(engine, fields.tokens, "tokens")))
    return {"content": text, "prompt": text}


@router.get("/tokenizer_info")
async def tokenizer_info(request: Request) -> dict[str, Any]:
    """Return the texts of the control tokens that frame a text, and the chat template (vLLM's route)."""
    facts, table = serving_of(request).engine.model.facts, serving_of(request).engine.table
    ends = {"bos_token": facts.bos, "eos_token": next(iter(facts.eos), None)}
    return {
        **{name: None if i is None else table.piece(i).decode() for name, i in ends.items()},
        "pad_token": None,
        "chat_template": facts.chat_template,
    }


@router.post("/apply-template")
async def apply_template(request: Request) -> dict[str, Any]:
    """Return the prompt that a conversation becomes, as text and as token ids."""
    fields, serving = await checked(request, TemplateFields), serving_of(request)
    serving.expect(fields.model)
    return await serving.off_loop(_laid_out, serving.engine, fields)


def _tokenized(engine: Engine, fields: TokenizeFields) -> dict[str, Any]:
    text = (fields.prompt if fields.content is None else fields.content) or ""
    parse = fields.content is None if fields.parse_special is None else fields.parse_special
    ids = with_controls(engine, text) if parse else engine.codec.encode_text([text])[0]
    if fields.add_special or fields.add_special_tokens:
        ids = [*engine.model.encode(""), *ids]
    if not fields.with_pieces:
        return {"tokens": ids}
    return {"tokens": [{"id": i, "piece": _piece(engine.table.piece(i))} for i in ids]}


def _piece(piece: bytes) -> str | list[int]:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)


def _laid_out(engine: Engine, fields: TemplateFields) -> dict[str, Any]:
    messages, tools = tool_use(fields.tools, None, None).messages(engine, messages_of(fields.messages))
    think = bool(fields.chat_template_kwargs and fields.chat_template_kwargs.enable_thinking)
    request = engine.asking.chat(messages, tools=tools, think=think, max_tokens=None)
    return {"prompt": engine.codec.decode(request.prompt), "tokens": list(request.prompt)}
