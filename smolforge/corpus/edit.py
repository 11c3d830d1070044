"""Edits: what the stage changes in a text that stays, step by step, and the last reasons to drop it.

Input: documents with their labels, and what the waves before found (boilerplate lines, the index of benchmarks).
Output: the text as it will be trained on, its size after every step, and what was changed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.contamination import search as decontaminate
from smolforge.corpus.contamination.index import ContaminationIndex
from smolforge.corpus.dedup import lines as line_dedup
from smolforge.corpus.dedup import passages as substring_dedup
from smolforge.corpus.dedup.tables import ROW_BITS
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.funnel import EDITS
from smolforge.corpus.privacy.pii import mask
from smolforge.corpus.rules import fineweb
from smolforge.corpus.rules.lines import clean_lines, line_limits
from smolforge.corpus.text.language import DECLARED_ONLY

LINE_RULES = "line_rules"
_PAGES = ("prose", fineweb.PROFILE)  # profiles whose documents may carry what belongs to a page


@dataclass(frozen=True)
class EditPlan:
    """What the steps go by: ``boilerplate``, the file of keys; ``passages``, the file of cuts; ``benchmarks``, the
    index. None where a step is off."""

    config: CorpusConfig
    boilerplate: Path | None = None
    passages: Path | None = None
    benchmarks: Path | None = None


@dataclass
class Edited:
    """A document under way. ``sizes`` are its bytes after each of ``EDITS``, 0 for those it did not reach; ``changes``
    join its ``meta``; ``matches`` are the (benchmark, item) it holds."""

    row: int
    doc_id: str
    text: str
    label: str
    sizes: list[int]
    changes: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None
    matches: tuple[tuple[str, str], ...] = ()

    def resize(self, step: str) -> None:
        """Note the size after a step (one that did not change the text included)."""
        self.sizes[EDITS.index(step)] = len(self.text.encode())


class Editor:
    """Takes documents through all steps, a batch at a time; a document's result does not depend on its neighbours."""

    def __init__(self, plan: EditPlan, shard: int) -> None:
        self._pii, self._pii_key, self._shard = plan.config.pii, plan.config.pii.key(), shard
        lines = plan.config.line_dedup
        self._boilerplate = line_dedup.Boilerplate.load(plan.boilerplate, lines) if plan.boilerplate and lines else None
        cuts = plan.config.substring_dedup
        self._passages = substring_dedup.Passages.load(plan.passages, cuts) if plan.passages and cuts else None
        rules = plan.config.line_rules
        self._line_limits = None if rules is None else line_limits(rules)
        self._contamination = _contamination(plan) if plan.benchmarks else None

    def edit(self, batch: Sequence[tuple[int, Document, str]]) -> list[Edited]:
        """Return what became of (row, document, label), in the same order."""
        done = [Edited(row, each.doc_id, each.text, label, [0] * len(EDITS)) for row, each, label in batch]
        for edited, (_, document, _) in zip(done, batch, strict=True):
            self._cut_lines(edited, document)
            edited.resize(line_dedup.STEP)
            if edited.verdict is None:
                self._cut_passages(edited)
                edited.resize(substring_dedup.STEP)
            if edited.verdict is None:
                self._clean_lines(edited, str(document.meta.get("profile", "")))
                edited.resize(LINE_RULES)
        self._decontaminate(list(_open(done)))
        for edited in _open(done):
            edited.text, counts = mask(edited.text, edited.label, self._pii.kinds, self._pii_key)
            edited.resize("pii")
            if counts:
                edited.changes["masked"] = counts
        return done

    def _cut_lines(self, edited: Edited, document: Document) -> None:
        if self._boilerplate is None:
            return
        host = line_dedup.host_of(document.url, document.source)
        edited.text, cut = self._boilerplate.cut(edited.text, host, edited.label)
        if cut:
            edited.changes["boilerplate_lines"] = cut
        if self._boilerplate.too_little(edited.text, cut):
            evidence = f"{cut} lines cut, {len(edited.text.strip())} characters left"
            edited.verdict = Verdict(line_dedup.STEP, line_dedup.REASON, evidence)

    def _cut_passages(self, edited: Edited) -> None:
        if self._passages is None:
            return
        edited.text, cut = self._passages.cut(edited.text, self._shard << ROW_BITS | edited.row)
        if cut:
            edited.changes["repeated_passages"] = cut
        if self._passages.too_little(edited.text, cut):
            evidence = f"{cut} passages cut, {len(edited.text.strip())} characters left"
            edited.verdict = Verdict(substring_dedup.STEP, substring_dedup.REASON, evidence)

    def _clean_lines(self, edited: Edited, profile: str) -> None:
        if self._line_limits is None or profile not in _PAGES or edited.label in DECLARED_ONLY:
            return
        cleaned = clean_lines(edited.text, edited.label, self._line_limits)
        edited.text = cleaned.text
        if cleaned.counts:
            edited.changes["lines_by_rule"] = dict(sorted(cleaned.counts.items()))
        if cleaned.mostly_page:
            evidence = ", ".join(f"{count} {rule}" for rule, count in sorted(cleaned.counts.items()))
            edited.verdict = Verdict(LINE_RULES, "lines of a page, not of a text", evidence)

    def _decontaminate(self, open_documents: Sequence[Edited]) -> None:
        if self._contamination is None:
            return
        found = self._contamination.check_all([edited.text for edited in open_documents])
        for edited, matches in zip(open_documents, found, strict=True):
            if matches:
                edited.matches = tuple((match.benchmark, match.item) for match in matches)
                reason = f"holds items of {matches[0].benchmark}"
                edited.verdict = Verdict(decontaminate.STEP, reason, matches[0].detail)


def _open(done: Sequence[Edited]) -> Iterator[Edited]:
    return (edited for edited in done if edited.verdict is None)


def _contamination(plan: EditPlan) -> decontaminate.Contamination:
    assert plan.benchmarks is not None and plan.config.decontaminate is not None
    index = _index(plan.benchmarks)
    return decontaminate.Contamination(index, plan.config.decontaminate)


@functools.lru_cache(maxsize=1)
def _index(path: Path) -> ContaminationIndex:
    """Keep the index between the tasks of a worker."""
    return ContaminationIndex.load(path)
