"""Held-out split and byte budgets: decided by hashes of (seed, id), never by order.

Input: sizes of the documents that survived. Output: which are held out, and which are over their language's budget.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Verdict
from smolforge.store import digest_bytes

BUDGET_STEP = "budget"
_LARGEST_SHARE = 0.2  # of a language's bytes that the minimum, or one group, may hold out


@dataclass(frozen=True)
class Sized:
    """A surviving document. Related documents share a ``group``."""

    doc_id: str
    language: str
    bytes: int
    group: str


def draw(seed: int, item: str, purpose: str) -> float:
    """Return a number in [0, 1) that depends on (seed, item, purpose) only."""
    return int(digest_bytes(f"{seed}\0{purpose}\0{item}".encode())[:13], 16) / 16**13


def choose_held_out(documents: Iterable[Sized], config: CorpusConfig, seed: int) -> set[str]:
    """Return the doc_ids to hold out: whole groups in the order of their draws, until each language has its fraction
    of bytes, or the minimum (at most a fifth of the language) where that is more."""
    if config.held_out == 0:
        return set()
    groups: dict[str, list[Sized]] = defaultdict(list)
    total: dict[str, int] = defaultdict(int)
    for document in documents:
        groups[document.group].append(document)
        total[document.language] += document.bytes
    held: dict[str, int] = defaultdict(int)
    chosen: set[str] = set()
    least = {code: min(config.held_out_min_bytes, _LARGEST_SHARE * size) for code, size in total.items()}
    wanted = {code: max(config.held_out * size, least[code]) for code, size in total.items()}
    for _, group in sorted((draw(seed, group, "held_out"), group) for group in groups):
        members = groups[group]
        sizes: dict[str, int] = defaultdict(int)
        for member in members:
            sizes[member.language] += member.bytes
        if any(size > _LARGEST_SHARE * total[language] for language, size in sizes.items()):
            continue
        if any(held[language] < wanted[language] for language in sizes):
            chosen.update(member.doc_id for member in members)
            for language, size in sizes.items():
                held[language] += size
    return chosen


def over_budget(documents: Iterable[Sized], config: CorpusConfig, seed: int) -> Mapping[str, Verdict]:
    """Return verdicts for documents beyond their language's byte budget, filled in the order of their draws."""
    used: dict[str, int] = defaultdict(int)
    verdicts: dict[str, Verdict] = {}
    for document in sorted(documents, key=lambda d: (draw(seed, d.doc_id, "budget"), d.doc_id)):
        budget = config.byte_budget(document.language)
        if budget is not None and used[document.language] + document.bytes > budget:
            detail = f"{budget} bytes of {document.language} are full"
            verdicts[document.doc_id] = Verdict(BUDGET_STEP, "over the language's byte budget", detail)
        else:
            used[document.language] += document.bytes
    return verdicts
