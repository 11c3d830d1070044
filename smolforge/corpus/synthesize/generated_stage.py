"""Generated sets: documents chosen, a generator asked, every sample checked, kept and rejected written with reasons.

Input: the configuration, the corpus' ``kept/`` table, clients. Output below ``generated/``: ``kept/`` and
``rejected/`` (document tables; a rejected row has step, reason, detail), ``report.json``; and beside the other sets
``<set>.docs.jsonl`` or ``<set>.jsonl``, which the tokenize stage takes by name. The bytes depend on the replies
alone, never on their pace.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from smolforge.corpus.document import DROP_FIELDS, FIELDS, Document, ShardWriter, Verdict, document_row
from smolforge.corpus.synthesize.candidate import Candidate
from smolforge.corpus.synthesize.checks import examine
from smolforge.corpus.synthesize.drafts import Drafts, Rejected
from smolforge.corpus.synthesize.endpoint import Backend, Client, EndpointConfig, open_client
from smolforge.corpus.synthesize.format import Format, load_format
from smolforge.corpus.synthesize.generated_config import GeneratedConfig, GeneratedSet
from smolforge.corpus.synthesize.judging import scores
from smolforge.corpus.synthesize.sources import choose, read_chosen
from smolforge.corpus.text.words import fold
from smolforge.store import StageContext, digest_bytes, write_json
from smolforge.store.atomic import writing

BLOCK = 256  # documents that are in work at a time
_SHARD_BYTES = 32_000_000
_EXAMPLES, _SHOWN = 3, 400  # a report's examples of each outcome, and their characters
OpenBackend = Callable[[EndpointConfig], Backend | None]


@dataclass
class Tally:
    """What became of one set's candidates. ``rejected`` counts the first fault of each, ``faults`` every one."""

    kept: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def add(self, candidate: Candidate, check: str | None, evidence: dict[str, str]) -> None:
        """Count one candidate, and show the first few of each outcome."""
        language = candidate.source.language
        self.asked[language] += 1
        if check is None:
            self.kept[language] += 1
        else:
            self.rejected[check] += 1
            self.faults.update(evidence.keys())
        shown = self.examples.setdefault(check or "kept", [])
        if len(shown) < _EXAMPLES:
            row = {"source": candidate.source.doc_id, "text": candidate.text[:_SHOWN]}
            shown.append(row | ({"evidence": evidence[check]} if check else {}))

    def as_json(self, set_: GeneratedSet) -> dict[str, Any]:
        """Return the set's part of the report."""
        total, kept = self.asked.total(), self.kept.total()
        return {
            "format": set_.format, "version": load_format(set_.format).version, "documents": total, "kept": kept,
            "kept_share": round(kept / total, 4) if total else 0.0,
            "rejected": dict(sorted(self.rejected.items(), key=lambda item: (-item[1], item[0]))),
            "faults": dict(sorted(self.faults.items(), key=lambda item: (-item[1], item[0]))),
            "languages": {code: {"documents": n, "kept": self.kept[code]} for code, n in sorted(self.asked.items())},
            "examples": dict(sorted(self.examples.items())),
        }  # fmt: skip


def run_generated(
    config: GeneratedConfig, documents: Path, context: StageContext, open_backend: OpenBackend | None = None
) -> dict[str, Any]:
    """Make every set from a folder of document tables; return counts by set. ``open_backend`` opens a model in this
    process, for a generator without an address. ConfigError, DataError and NetworkError say what to do; a second run
    asks only what is missing."""
    cache = config.cache or context.work.parent / "requests.sqlite"
    report: dict[str, Any] = {}
    with ExitStack() as open_things:
        generator = open_things.enter_context(_client(config.generator, cache, open_backend))
        judge = open_things.enter_context(_client(config.judge, cache, open_backend)) if config.judge else None
        folder = context.work / "generated"
        kept = ShardWriter(folder / "kept", _SHARD_BYTES)
        rejected = ShardWriter(folder / "rejected", _SHARD_BYTES, (*FIELDS, *DROP_FIELDS))
        for name, set_ in sorted(config.sets.items()):
            made = _Set(name, set_, Drafts(name, set_, load_format(set_.format), generator, context.seed), judge)
            report[name] = made.write(documents, context, kept, rejected).as_json(set_)
        kept.close()
        rejected.close()
        asked = generator.asked + (judge.asked if judge else 0)
        context.progress.note(f"{asked} requests asked, the others were in {cache}")
        write_json(folder / "report.json", {"generator": generator.model, "sets": report})
    return {name: {key: part for key, part in row.items() if key != "examples"} for name, row in report.items()}


def _client(config: EndpointConfig, cache: Path, open_backend: OpenBackend | None) -> Client:
    backend = open_backend(config) if open_backend is not None and config.base_url is None else None
    return open_client(config, cache, backend)


class _Set:
    """Makes and writes one set."""

    def __init__(self, name: str, config: GeneratedSet, drafts: Drafts, judge: Client | None) -> None:
        self.name, self.config, self.drafts, self.judge = name, config, drafts, judge
        self.format: Format = drafts.format
        self.limits = config.checked_limits()
        self.seen: dict[str, str] = {}

    def write(self, folder: Path, context: StageContext, kept: ShardWriter, rejected: ShardWriter) -> Tally:
        """Write every candidate to one of the tables, and kept ones to the set's file."""
        tally, done = Tally(), 0
        purpose = f"synthesize/{self.name}"
        chosen = choose(folder, self.config.quotas(), context.seed, purpose, self.config.source_at_least)
        documents = read_chosen(folder, chosen, self.config.source_characters)
        context.progress.start(len(chosen), f"documents of {self.name}")
        ending = ".docs.jsonl" if self.format.is_document else ".jsonl"
        with writing(context.work / f"{self.name}{ending}") as lines:
            for block in _blocks(documents):
                for candidate, evidence, measures in self._judged(self.drafts.make(block)):
                    check = next(iter(evidence), None)
                    document = self._document(candidate, measures)
                    tally.add(candidate, check, evidence)
                    if check is None:
                        kept.add(document)
                        lines.write(f"{json.dumps(self._row(candidate, document), ensure_ascii=False)}\n".encode())
                    else:
                        said = "; ".join(f"{name}: {fault}" for name, fault in evidence.items())
                        rejected.add(document, Verdict(purpose, check, said))
                done += len(block)
                context.progress.update(done, kept=float(tally.kept.total()))
        return tally

    def _judged(
        self, candidates: Iterable[Candidate | Rejected]
    ) -> Iterator[tuple[Candidate, dict[str, str], dict[str, Any]]]:
        """Yield (candidate, evidence by check that failed, measures) in order."""
        results: list[tuple[Candidate, dict[str, str], dict[str, Any]]] = []
        for each in candidates:
            if isinstance(each, Rejected):
                results.append((each.candidate, each.evidence, {}))
                continue
            evidence, measures = examine(each, self.format.checks, self.limits)
            evidence |= {} if evidence else self._twice(each)
            results.append((each, evidence, measures))
        if self.judge is not None:
            sound = [result for result in results if not result[1]]
            given = scores([candidate for candidate, _, _ in sound], self.judge)
            for (_, evidence, measures), (score, reason) in zip(sound, given, strict=True):
                measures["judge"] = score
                if score is None or score < self.limits.judge:
                    evidence["judge"] = f"no score: {reason}" if score is None else f"score {score} of 5: {reason}"
        yield from results

    def _twice(self, candidate: Candidate) -> dict[str, str]:
        """Return evidence where the same text was kept before."""
        digest = digest_bytes(fold(candidate.text).encode())
        first = self.seen.setdefault(digest, candidate.source.doc_id)
        return {} if first == candidate.source.doc_id else {"duplicate": f"the same text was made of {first}"}

    def _document(self, candidate: Candidate, measures: dict[str, Any]) -> Document:
        """Return the table row of a sample: its text, its source's licence, and where it comes from."""
        source = candidate.source
        provenance: dict[str, Any] = {
            "set": self.name, "format": self.format.name, "version": self.format.version,
            "generator": self.drafts.client.model, "source": source.doc_id, "requests": list(candidate.keys),
            "measures": measures,
        }  # fmt: skip
        return Document.make(
            candidate.text, url=f"{source.doc_id}#{self.name}", source=f"synthetic/{self.name}", licence=source.licence,
            language=source.language, meta={"synthetic": provenance},
        )  # fmt: skip

    def _row(self, candidate: Candidate, document: Document) -> dict[str, Any]:
        """Return what the set's file holds: a row of the document table, or a conversation."""
        if self.format.is_document:
            return document_row(document)
        row: dict[str, Any] = {
            "id": f"{self.name}/{document.doc_id}", "messages": self.drafts.messages(dict(candidate.values)),
            "mode": self.format.output.mode, "language": document.language, "source": document.source,
            "group": candidate.source.doc_id, "meta": document.meta,
        }  # fmt: skip
        tools = candidate.values.get("tools_json")
        return row | ({"tools": tools} if tools else {})


def _blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    iterator = iter(documents)
    while block := list(islice(iterator, BLOCK)):
        yield block
