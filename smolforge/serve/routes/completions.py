"""``POST /v1/completions``; with ``echo`` and ``logprobs`` it scores prompts, which is how ``lm-eval`` asks."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from smolforge.engine.engine import Engine
from smolforge.engine.prompt_logprobs import PromptLogprobs
from smolforge.generator import Sampling
from smolforge.serve.answers import Asked, finished
from smolforge.serve.asking import samplings
from smolforge.serve.body import checked
from smolforge.serve.completion_answer import CompletionAnswer, Echo
from smolforge.serve.fields.completions import CompletionFields, each_prompt
from smolforge.serve.replies import whole_or_chunks
from smolforge.serve.serving import Serving, serving_of
from smolforge.serve.tokenizing import ids_of

DEFAULT_TOKENS = 16  # as the OpenAI API has it
SAMPLED = Sampling(temperature=1.0)  # likewise
router = APIRouter()


@router.post("/v1/completions")
async def completions(request: Request) -> Response:
    """Continue prompts."""
    fields, serving = await checked(request, CompletionFields), serving_of(request)
    serving.expect(fields.model)

    async def begin(engine: Engine) -> CompletionAnswer:
        return await _begin(serving, engine, fields)

    return whole_or_chunks(serving, begin, stream=bool(fields.stream), include_usage=fields.include_usage)


async def _begin(serving: Serving, engine: Engine, fields: CompletionFields) -> CompletionAnswer:
    prompts = await serving.off_loop(_prompts, engine, fields)
    echoes = await _echoes(engine, fields, prompts) if fields.echo else []
    asked = await serving.off_loop(_ask, serving, engine, fields, prompts)
    return CompletionAnswer(engine, serving.model, asked, echoes, fields.n or 1, fields.logprobs is not None)


def _prompts(engine: Engine, fields: CompletionFields) -> list[list[int]]:
    return [ids_of(engine, prompt, "prompt") for prompt in each_prompt(fields.prompt)]


async def _echoes(engine: Engine, fields: CompletionFields, prompts: list[list[int]]) -> list[Echo]:
    given = each_prompt(fields.prompt)
    texts = [text if isinstance(text, str) else engine.table.text(text) for text in given]
    if fields.logprobs is None:
        return [Echo(text) for text in texts]
    jobs = [engine.run(PromptLogprobs(ids, fields.logprobs)) for ids in prompts]
    scored = [await finished(job) for job in jobs]
    return [
        Echo(text, list(zip(ids, [None, *found], strict=True)))
        for text, ids, found in zip(texts, prompts, scored, strict=True)
    ]


def _ask(serving: Serving, engine: Engine, fields: CompletionFields, prompts: list[list[int]]) -> Asked:
    max_tokens = DEFAULT_TOKENS if fields.max_tokens is None else fields.max_tokens
    requests = [
        engine.asking.text(
            prompt, max_tokens=max_tokens, sampling=sampling, stop=fields.stops, logprobs=fields.logprobs
        )
        for prompt in prompts
        for sampling in samplings(fields, SAMPLED, engine.vocab_size)
    ]
    return Asked(serving, engine, requests)
