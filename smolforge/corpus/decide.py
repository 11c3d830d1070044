"""Decisions: which documents go, at which step and why, from their annotations.

Input: annotations of all shards. Output: one verdict for each dropped document. Steps in order: exact dedup, language,
rules, near dedup; a document is judged by a step only if the steps before let it pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smolforge.corpus import dedup_exact, language, near_dedup, rules
from smolforge.corpus.annotate import Annotation
from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Verdict, read_rows
from smolforge.corpus.funnel import Funnel


@dataclass
class Decisions:
    """``verdicts`` of dropped documents, ``groups`` of related ones, and notes a person should see."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def decide(
    annotations: Sequence[Annotation],
    shards: Sequence[Path],
    ranks: dict[str, int],
    config: CorpusConfig,
    funnel: Funnel,
) -> Decisions:
    """Judge every document; ``shards`` hold the texts that near dedup verifies, ``ranks`` orders the sources."""
    decisions = Decisions()
    alive = list(annotations)
    for each in alive:
        funnel.passed("ingest", each.source, each.language, each.bytes)

    copies = dedup_exact.find_duplicates((a.doc_id, a.fingerprint, ranks[a.source]) for a in alive)
    alive = _apply(dedup_exact.STEP, alive, copies, decisions, funnel)

    foreign = {a.doc_id: language.judge(a.detection, a.declared, config.languages, config.language) for a in alive}
    alive = _apply(language.STEP, alive, foreign, decisions, funnel)

    poor = {a.doc_id: rules.judge(a.features, _limits(a, config)) for a in alive}
    alive = _apply(rules.STEP, alive, poor, decisions, funnel)

    candidates = [near_dedup.Candidate(a.doc_id, a.source, ranks[a.source], a.characters, a.keys) for a in alive]
    labels = {a.doc_id: a.language for a in alive}
    near = near_dedup.find_near_duplicates(candidates, lambda ids: _read(ids, shards, labels), config.dedup)
    _apply(near_dedup.STEP, alive, near.verdicts, decisions, funnel)
    decisions.groups = near.groups
    for source, count in near.spared.items():
        decisions.notes.append(f"near dedup would have removed {count} documents of '{source}'; they stay")
    return decisions


def _limits(annotation: Annotation, config: CorpusConfig) -> rules.Limits:
    return rules.load_profile(annotation.profile, config.rules).limits(annotation.language)


def _apply(
    step: str,
    alive: Iterable[Annotation],
    verdicts: dict[str, Verdict] | dict[str, Verdict | None],
    decisions: Decisions,
    funnel: Funnel,
) -> list[Annotation]:
    """Book a step's verdicts and return the documents that go on."""
    passed: list[Annotation] = []
    for each in alive:
        verdict = verdicts.get(each.doc_id)
        if verdict is None:
            funnel.passed(step, each.source, each.language, each.bytes)
            passed.append(each)
        else:
            decisions.verdicts[each.doc_id] = verdict
            funnel.stopped(step, each.source, each.language, verdict.reason, each.bytes)
    return passed


def _read(doc_ids: set[str], shards: Iterable[Path], labels: dict[str, str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for shard in shards if doc_ids else ():
        for row in read_rows(shard, ("doc_id", "text")):
            if row["doc_id"] in doc_ids:
                found[row["doc_id"]] = (row["text"], labels[row["doc_id"]])
    return found
