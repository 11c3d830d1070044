"""Each task as something that is done to the rows of a table: from the text of a row to new columns.

Input: an engine, a task's name and its options. Output: a ``RowTask``: which columns it adds, what it depends on, and
how many texts become as many outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smolforge.errors import ConfigError, SmolforgeError, nearest
from smolforge.store.tables import Kind
from smolforge.tasks.in_order import in_order
from smolforge.tasks.results import Cost

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine

Values = dict[str, Any]
Outcomes = Iterator[tuple[Values, Cost] | SmolforgeError]


@dataclass(frozen=True)
class RowTask:
    """``columns``: what is added to a row, in order. ``facts``: a JSON value of all the answers depend on besides the
    model. ``each`` yields the new columns' values and what they cost, or an error, for each text in turn."""

    columns: dict[str, Kind]
    facts: Any
    each: Callable[[Iterable[str]], Outcomes]


def row_task(engine: Engine, task: str, options: Mapping[str, Any]) -> RowTask:
    """Return the task with its options; ConfigError where there is no such task, or an option is wrong."""
    if task not in TASKS:
        raise ConfigError(f"'{task}': no such task{nearest(task, TASKS)}; tasks: {', '.join(TASKS)}")
    try:
        return TASKS[task](engine, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ConfigError(f"{task}: {str(error).partition(') ')[2] or error}") from None


def _classify(engine: Engine, labels: Sequence[str], **options: Any) -> RowTask:
    from smolforge.tasks.classify import Classification, Classifier

    classifier = Classifier(engine, labels, **options)
    facts = [classifier.digest, options.get("abstain"), repr(options.get("calibration"))]

    def values(found: Classification) -> Values:
        scores = {label: round(score, 6) for label, score in found.scores.items()}
        best = (
            {"labels": list(found.labels)}
            if classifier.multi
            else {"label": found.label, "score": max(scores.values())}
        )
        return {**best, "scores": scores}

    first: dict[str, Kind] = {"labels": "json"} if classifier.multi else {"label": "text", "score": "number"}
    return RowTask({**first, "scores": "json"}, facts, lambda texts: _rows(classifier.outcomes(texts), values))


def _extract(engine: Engine, schema: Any, **options: Any) -> RowTask:
    from smolforge.tasks.extract import extract_each
    from smolforge.tasks.schema_forms import read_form

    form = read_form(schema)
    extract_each(engine, [], schema, **options)  # what is wrong is said before anything is read
    return RowTask(
        {"extracted": "json", "sources": "json"},
        {"schema": form.shown, **options},
        lambda texts: _rows(
            extract_each(engine, texts, schema, **options),
            lambda found: {"extracted": found.value, "sources": found.sources()},
        ),
    )


def _summarize(engine: Engine, **options: Any) -> RowTask:
    from smolforge.tasks.summarize import summarize_each

    summarize_each(engine, [], **options)
    return RowTask(
        {"summary": "text"},
        options,
        lambda texts: _rows(summarize_each(engine, texts, **options), lambda made: {"summary": made.text}),
    )


def _call(engine: Engine, tools: Any, **options: Any) -> RowTask:
    from smolforge.tasks.agent import call_each, call_json
    from smolforge.tasks.tools import tools_of

    known = tools_of(tools)
    call_each(engine, [], known, **options)
    return RowTask(
        {"calls": "json", "answer": "text"},
        {"tools": [tool.definition for tool in known], **options},
        lambda texts: _rows(
            call_each(engine, texts, known, **options),
            lambda made: {"calls": [call_json(one) for one in made.calls], "answer": made.text},
        ),
    )


def _chat(engine: Engine, *, system: str | None = None, **options: Any) -> RowTask:
    from smolforge.engine.answer import Answer
    from smolforge.generator import Sampling

    start = [{"role": "system", "content": system}] if system else []
    asked = {"sampling": Sampling(), **options}
    engine.request([*start, {"role": "user", "content": "x"}], **asked)

    def values(answer: Answer) -> tuple[Values, Cost]:
        return {"answer": answer.text, "reasoning": answer.reasoning or None, "finish": answer.finish}, Cost.of(answer)

    return RowTask(
        {"answer": "text", "reasoning": "text", "finish": "text"},
        {"system": system, **{name: repr(value) for name, value in asked.items()}},
        lambda texts: in_order(
            texts,
            lambda text: engine.request([*start, {"role": "user", "content": text}], **asked),
            engine.streams,
            lambda stream: values(stream.answer()),
        ),
    )


def _embed(engine: Engine) -> RowTask:
    import numpy as np

    from smolforge.engine.job import Job
    from smolforge.engine.work import Embedding
    from smolforge.errors import DataError

    def ask(text: str) -> Embedding:
        work = Embedding(engine.model.encode(text))
        if not 0 < work.most <= engine.context:
            raise DataError(f"the text takes {work.most} tokens, expected 1 to {engine.context}")
        return work

    def read(job: Job[Any]) -> tuple[Values, Cost]:
        vector = job.result()
        unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return {"embedding": [float(x) for x in unit.astype(np.float32)]}, Cost(prompt_tokens=len(job.work.prompt))

    return RowTask({"embedding": "vector"}, None, lambda texts: in_order(texts, ask, engine.run_all, read))


def _rows(found: Iterator[Any], values: Callable[[Any], Values]) -> Outcomes:
    """Turn results into columns."""
    return (one if isinstance(one, SmolforgeError) else (values(one), one.cost) for one in found)


TASKS: dict[str, Callable[..., RowTask]] = {
    "classify": _classify, "extract": _extract, "summarize": _summarize, "call": _call, "chat": _chat, "embed": _embed,
}  # fmt: skip


def as_facts(value: Any) -> Any:
    """Return a value as plain JSON, what JSON has no word for as its text."""
    return json.loads(json.dumps(value, sort_keys=True, default=repr))
