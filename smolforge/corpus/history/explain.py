"""Why a document is where it is: its history, with what its numbers were compared to and what it was compared with.

Input: the folder of a finished corpus and a document's id. Output: an ``Explanation``, for a terminal or as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smolforge.corpus.document import Document
from smolforge.corpus.history.compare import Comparison, compare
from smolforge.corpus.history.document import History, history
from smolforge.corpus.history.lookup import stored
from smolforge.corpus.rules.limits import STEP
from smolforge.corpus.rules.limits_seen import Measured, measured
from smolforge.errors import ConfigError
from smolforge.store import Artifact
from smolforge.store.artifact import MANIFEST

_EXCERPT = 400  # characters


@dataclass(frozen=True)
class Partner:
    """The document that stays instead, with excerpts of both. ``table`` is empty for one of a saved index."""

    doc_id: str
    url: str
    table: str
    score: float | None
    comparison: Comparison | None


@dataclass(frozen=True)
class Explanation:
    """A history with what makes it understandable. ``floors``: of the language step, where the corpus states them;
    ``profile`` and ``limits``: the rules that judged it; ``copies``: address and score of each."""

    history: History
    document: Document | None
    floors: Mapping[str, float]
    profile: str
    limits: tuple[Measured, ...]
    partner: Partner | None
    copies: Mapping[str, str]

    @property
    def excerpt(self) -> str:
        """How the stored text begins."""
        return self.document.text[:_EXCERPT] if self.document else ""

    def as_json(self) -> dict[str, Any]:
        """Return everything as a JSON value, the text as an excerpt."""
        told = self.history.as_json()
        limits = [{**asdict(row), "broken": row.broken} for row in self.limits]
        copies = [
            {"doc_id": doc_id, "url": self.copies.get(doc_id, ""), "score": score}
            for doc_id, score in self.history.copies
        ]
        document = self.document
        return told | {
            "copies": copies,
            "licence": document.licence if document else "",
            "meta": document.meta if document else {},
            "excerpt": self.excerpt,
            "language_floors": dict(self.floors),
            "rules": {"profile": self.profile, "limits": limits},
            "partner": asdict(self.partner) if self.partner else None,
        }


def explain(folder: Path, doc_id: str) -> Explanation:
    """Return why a document is where it is. DataError as ``history``."""
    told = history(folder, doc_id)
    config = config_of(folder)
    stop = told.judgements[-1] if told.judgements and not told.judgements[-1].passed else None
    named = stop.partner if stop and stop.partner else None
    known = stored(folder, {doc_id, *(other for other, _ in told.copies), *([named] if named else [])})
    document = known.get(doc_id, ("", None))[1]
    profile, limits = _limits(told, config.get("rules"))
    partner = None
    if stop is not None and named is not None:
        table, other = known.get(named, ("", None))
        shown = compare(other.text, document.text) if other and document else None
        partner = Partner(named, other.url if other else "", table, stop.score, shown)
    return Explanation(
        told, document, config.get("language", {}), profile, tuple(limits), partner,
        {other: known[other][1].url for other, _ in told.copies if other in known},
    )  # fmt: skip


def _limits(told: History, rules: str | None) -> tuple[str, list[Measured]]:
    """Return profile and limits, none where the document never came to the rules or the profile's file is gone."""
    if all(judgement.step != STEP for judgement in told.judgements):
        return "", []
    try:
        return measured(told.measures, told.url, rules)
    except ConfigError:
        return "", []


def config_of(folder: Path) -> dict[str, Any]:
    """Return the configuration of a finished corpus, as its manifest has it; nothing where there is no manifest."""
    if not (folder / MANIFEST).is_file():
        return {}
    config: dict[str, Any] = Artifact.open(folder).manifest.config
    return config
