"""From documents to candidates: a format's asks, one after the other, over a block of documents.

Input: documents, a format, a client. Output: ``Candidate``s, and ``Rejected`` for those that fell out on the way (a
failed request, an answer cut off, a form that does not fit). Prompts and seeds depend on the document alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from smolforge.corpus.document import Document
from smolforge.corpus.split import draw
from smolforge.corpus.synthesize.candidate import Candidate
from smolforge.corpus.synthesize.checks.meta_talk import meta_talk
from smolforge.corpus.synthesize.endpoint import Client
from smolforge.corpus.synthesize.format import Ask, Format, fill, language_table
from smolforge.corpus.synthesize.generated_config import GeneratedSet
from smolforge.corpus.synthesize.json_schema import problems
from smolforge.corpus.synthesize.request import Reply, Request, Sample
from smolforge.corpus.synthesize.toolbox import Toolbox
from smolforge.corpus.synthesize.voting import majority, thoughts_and_answer, without_thinking

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
_WORDS_SHOWN = 300  # characters of a document that suggest the subject of a tool call


@dataclass
class Draft:
    """A candidate in the making. ``fault``: (check, evidence) once it has fallen out."""

    source: Document
    values: dict[str, Any]
    keys: list[str] = field(default_factory=list)
    votes: tuple[int, int] | None = None
    fault: tuple[str, str] | None = None


@dataclass(frozen=True)
class Rejected:
    """A candidate with the check that it failed and the evidence, by check where several did."""

    candidate: Candidate
    check: str
    evidence: dict[str, str]


class Drafts:
    """Makes the candidates of one set."""

    def __init__(self, name: str, config: GeneratedSet, format: Format, client: Client, seed: int) -> None:
        self.name, self.config, self.format, self.client, self.seed = name, config, format, client, seed
        self.tools = Toolbox.open(config.tools) if config.tools else None

    def make(self, documents: Sequence[Document]) -> Iterator[Candidate | Rejected]:
        """Ask everything about every document; yield what came of each, in their order."""
        drafts = [Draft(document, self._given(document)) for document in documents]
        for number, ask in enumerate(self.format.asks):
            alive = [draft for draft in drafts if draft.fault is None]
            replies = self.client.replies(self._request(ask, draft) for draft in alive)
            for draft, reply in zip(alive, replies, strict=True):
                self._take(ask, draft, reply, last=number + 1 == len(self.format.asks))
        for draft in drafts:
            yield self._finish(draft)

    def _given(self, document: Document) -> dict[str, Any]:
        """Return what a prompt may name before anything was asked."""
        table, code = language_table(), document.language
        values: dict[str, Any] = {"text": document.text, "language": table[code]["name"], "asked": []}
        if self.format.name == "back_translation":
            others = [each for each in self.config.to if each != "en"]
            target = others[int(self._draw(document, "target") * len(others))] if code == "en" else "en"
            values |= {"target_code": target, "target": table[target]["name"], "ask": table[code]["request"]}
        if self.tools is not None:
            values |= self.tools.given(lambda purpose: self._draw(document, purpose))
            values["words"] = document.text[:_WORDS_SHOWN]
        return values

    def _draw(self, document: Document, purpose: str) -> float:
        return draw(self.seed, document.doc_id, f"synthesize/{self.name}/{purpose}")

    def _request(self, ask: Ask, draft: Draft) -> Request:
        return Request(
            messages=({"role": "user", "content": fill(ask.prompt, draft.values).strip()},),
            params=self.config.params,
            schema=self._form(ask, draft),
            n=self.config.samples if ask.vote else 1,
            seed=int(self._draw(draft.source, ask.name) * 2**31),
        )

    def _form(self, ask: Ask, draft: Draft) -> dict[str, Any] | None:
        if ask.form == "calls":
            form: dict[str, Any] = draft.values["calls_form"]
            return form
        return ask.form

    def _take(self, ask: Ask, draft: Draft, reply: Reply, last: bool) -> None:
        """Put the answer among the values, or say why it cannot be."""
        draft.keys += [sample.key for sample in reply.samples]
        draft.values["asked"].append(ask.name)
        answers = [read_answer(sample, self._form(ask, draft), ask.vote) for sample in reply.samples]
        chosen, agreeing = 0, 1
        if ask.vote:
            chosen, agreeing = majority([answer.voted for answer in answers])
            draft.votes = (agreeing, len(answers))
        best = answers[max(chosen, 0)]
        draft.values[ask.name] = best.value if best.value is not None else best.text
        draft.values |= {"thoughts": best.thoughts, "answer": best.voted} if ask.vote else {}
        if best.fault is not None:
            draft.fault = best.fault
        elif agreeing == 0:
            draft.fault = ("self_consistency", f"none of {len(answers)} samples has an answer")
        elif not last and "meta_talk" in self.format.checks:
            said = meta_talk(_candidate(draft, ""), self.config.checked_limits())
            draft.fault = ("meta_talk", said.fault) if said.fault else None

    def _finish(self, draft: Draft) -> Candidate | Rejected:
        if draft.fault is not None:
            said = draft.values.get(draft.values["asked"][-1], "")
            shown = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
            return Rejected(_candidate(draft, shown), draft.fault[0], dict([draft.fault]))
        if self.format.output.text is not None:
            return _candidate(draft, str(fill(self.format.output.text, draft.values)))
        parts = [part for message in self.messages(draft.values) for part in _readable(message)]
        return _candidate(draft, "\n\n".join(part for part in parts if part))

    def messages(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the conversation that kept values become."""
        return [{name: fill(text, values) for name, text in message.items()} for message in self.format.output.messages]


def _candidate(draft: Draft, text: str) -> Candidate:
    return Candidate(draft.source, draft.values, text, tuple(draft.keys), draft.votes)


def _readable(message: dict[str, Any]) -> Iterator[str]:
    for name in ("reasoning_content", "content"):
        yield str(message.get(name, ""))
    if message.get("tool_calls"):
        yield json.dumps(message["tool_calls"], ensure_ascii=False)


@dataclass(frozen=True)
class Answer:
    """One sample, read: its text without reasoning, the JSON value of a form, and what it votes for."""

    text: str = ""
    thoughts: str = ""
    value: Any = None
    voted: Any = None
    fault: tuple[str, str] | None = None


def read_answer(sample: Sample, form: dict[str, Any] | None, vote: bool = False) -> Answer:
    """Read a sample; ``fault`` says why it is no answer (request, finished, schema)."""
    if sample.failure is not None:
        return Answer(fault=("request", sample.failure))
    reasoning, text = without_thinking(sample.text)
    text, reasoning = text.strip(), sample.reasoning.strip() or reasoning
    if sample.finish == "length":
        return Answer(text, fault=("finished", "the answer was cut off at the limit of tokens"))
    if form is not None:
        value, wrong = _json_value(text, form)
        value = value["calls"] if wrong is None and set(value) == {"calls"} else value
        return Answer(text, reasoning, value, value, None if wrong is None else ("schema", wrong))
    if vote:
        thoughts, answer = thoughts_and_answer(text)
        return Answer(text, "\n\n".join(filter(None, (reasoning, thoughts))), voted=answer)
    return Answer(text, reasoning)


def _json_value(text: str, form: dict[str, Any]) -> tuple[Any, str | None]:
    """Return (value, what is wrong): the whole text as JSON, else its fenced block, else from first to last brace."""
    fenced = _FENCE.search(text)
    for piece in (text, fenced[1] if fenced else "", text[text.find("{") : text.rfind("}") + 1]):
        try:
            value = json.loads(piece)
        except (ValueError, RecursionError):
            continue
        wrong = problems(value, form)
        return (None, wrong[0]) if wrong else (value, None)
    return None, f"no JSON: {text[:80]!r}"
