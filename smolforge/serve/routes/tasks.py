"""``POST /v1/classify``, ``/v1/extract``, ``/v1/summarize``: the tasks, with their own results as JSON.

One ``text`` gives its result; a list gives ``{"results": […]}`` in its order, where what is wrong with one text stands
in its place as ``{"error": …}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from fastapi import APIRouter, Request, Response

from smolforge.engine.engine import Engine
from smolforge.errors import SmolforgeError
from smolforge.serve.body import checked, read_json
from smolforge.serve.fields.tasks import ClassifyFields, ExtractFields, SummarizeFields, TaskFields
from smolforge.serve.problems import problem_of
from smolforge.serve.replies import Whole
from smolforge.serve.serving import Serving, serving_of
from smolforge.tasks.classify import Classifier
from smolforge.tasks.extract import extract_each
from smolforge.tasks.results import Cost
from smolforge.tasks.schema_forms import short_schema
from smolforge.tasks.summarize import summarize_each

router = APIRouter()


class Result(Protocol):
    """What a task returns for one text."""

    @property
    def cost(self) -> Cost:
        """What it took."""

    def json(self) -> dict[str, Any]:
        """All of it as JSON."""


Task = Callable[[Engine, list[str]], Iterable[Result | SmolforgeError]]


@router.post("/v1/classify")
async def classify(request: Request) -> Response:
    """Return the probability of every label."""
    fields = await checked(request, ClassifyFields)

    def task(engine: Engine, texts: list[str]) -> Iterable[Result | SmolforgeError]:
        return Classifier(
            engine, fields.labels, multi=fields.multi, instruction=fields.instruction,
            descriptions=fields.descriptions, abstain=fields.abstain,
        ).outcomes(texts)  # fmt: skip

    return _reply(serving_of(request), fields, task)


@router.post("/v1/extract")
async def extract(request: Request) -> Response:
    """Return what the text holds of a schema, and where it stands."""
    fields = await checked(request, ExtractFields)
    options = _options(fields, "instruction", "think", "thinking_budget", "max_tokens", "section_tokens")
    return _reply(
        serving_of(request),
        fields,
        lambda engine, texts: extract_each(engine, texts, _schema(fields.schema_), **options),
    )


@router.post("/v1/summarize")
async def summarize(request: Request) -> Response:
    """Return a summary of bounded length."""
    fields = await checked(request, SummarizeFields)
    names = ("words", "sentences", "tokens", "language", "focus", "think", "thinking_budget", "section_tokens")
    options = _options(fields, *names)
    return _reply(serving_of(request), fields, lambda engine, texts: summarize_each(engine, texts, **options))


def _options(fields: TaskFields, *names: str) -> Any:
    return {name: value for name in names if (value := getattr(fields, name)) is not None}


def _schema(given: dict[str, Any] | str) -> dict[str, Any]:
    """Return the schema. A text is never a file's name here: the files are the server's, not the client's."""
    if isinstance(given, dict):
        return given
    value = read_json(given.encode()) if given.lstrip().startswith("{") else short_schema(given)
    assert isinstance(value, dict)
    return value


def _reply(serving: Serving, fields: TaskFields, task: Task) -> Response:
    serving.expect(fields.model)

    async def whole(engine: Engine) -> dict[str, Any]:
        texts = [fields.text] if isinstance(fields.text, str) else fields.text
        results = await serving.in_task(lambda: list(task(engine, texts)))
        for result in results:
            if not isinstance(result, SmolforgeError):
                serving.metrics.answer(result.cost.usage, result.cost.timings)
        if not isinstance(fields.text, str):
            return {"model": serving.model, "results": list(_each(results))}
        (result,) = results
        if isinstance(result, SmolforgeError):
            raise result
        return {"model": serving.model, **result.json()}

    return Whole(serving, whole)


def _each(results: Iterable[Result | SmolforgeError]) -> Iterator[dict[str, Any]]:
    for result in results:
        yield {"error": problem_of(result).error()} if isinstance(result, SmolforgeError) else result.json()
