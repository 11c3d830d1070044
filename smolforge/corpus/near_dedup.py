"""Near duplicates: MinHash buckets only nominate; a document goes only if its text occurs in the one that stays.

Input: band keys of all documents and a way to read nominated texts. Output: verdicts naming partner and score, and the
groups of related documents that the held-out split must not tear apart.

Sharing a band is weak evidence: templated documents on different subjects share most of their n-grams. So there is no
transitive closure, and a copy is removed only when (nearly) all its word 3-grams occur in one document that is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup_tables import NearCopies, Pool, Waves
from smolforge.corpus.document import Verdict
from smolforge.corpus.minhash import U64, band_keys, contained_share, shingles, word_hashes
from smolforge.corpus.text import nomination_words, words
from smolforge.errors import DataError

STEP = "near_dedup"
_VERIFY_WORDS, _VERIFY_CHARACTERS = 3, 5  # shingle sizes for spaced text, and for text with one word a character


@dataclass(frozen=True)
class Candidate:
    """What nomination needs to know of a document; ``rank`` is its source's place in the recipe."""

    doc_id: str
    source: str
    rank: int
    characters: int
    keys: tuple[int, ...]

    @property
    def order(self) -> tuple[int, int, str]:
        """Keep order: longest text, then earliest source, then smallest id. Independent of shards."""
        return -self.characters, self.rank, self.doc_id


@dataclass
class NearDuplicates:
    """``verdicts`` of removed documents; ``groups``: doc_id -> id of its group, for documents related to another;
    ``spared``: source -> documents that the wipe-out guard left in place."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    spared: dict[str, int] = field(default_factory=dict)


def nomination_keys(text: str, language: str, config: DedupConfig, cache: dict[str, int]) -> U64:
    """Return the band keys of a text over normalised word n-grams (characters where a character is a word)."""
    hashes = word_hashes(nomination_words(text, language), cache)
    return band_keys(shingles(hashes, config.shingle), config.bands, config.rows)


def verification_shingles(text: str, language: str) -> U64:
    """Return the shingles that decide: lower-cased word 3-grams with their digits (5-grams of characters for zh)."""
    found = words(text.lower(), language)
    return shingles(word_hashes(found, {}), _VERIFY_CHARACTERS if language == "zh" else _VERIFY_WORDS)


def find_near_duplicates(
    candidates: Sequence[Candidate], read: Callable[[set[str]], dict[str, tuple[str, str]]], config: DedupConfig
) -> NearDuplicates:
    """Decide which candidates go. ``read`` maps doc_ids to (text, language); only nominated documents are read."""
    members = buckets(candidates)
    nominated = {candidate.doc_id for bucket in members.values() for candidate in bucket}
    prints = {doc_id: verification_shingles(*pair) for doc_id, pair in read(nominated).items()}
    result = NearDuplicates()
    by_document: dict[str, list[int]] = defaultdict(list)
    for key, bucket in members.items():
        for candidate in bucket:
            by_document[candidate.doc_id].append(key)
    kept_in: dict[int, list[Candidate]] = defaultdict(list)
    union = _Groups()
    for candidate in sorted((c for c in candidates if c.doc_id in nominated), key=lambda c: c.order):
        rivals = {r.doc_id: r for key in by_document[candidate.doc_id] for r in kept_in[key]}
        compared = sorted(rivals.values(), key=lambda c: c.order)[: config.max_comparisons]
        best, score = "", 0.0
        for rival in compared:
            share = contained_share(prints[candidate.doc_id], prints[rival.doc_id])
            if share > score:
                best, score = rival.doc_id, share
            if share >= config.related:
                union.join(candidate.doc_id, rival.doc_id)
        if best and score >= config.containment:
            result.verdicts[candidate.doc_id] = Verdict(STEP, "text of another document", f"{score:.3f} in {best}")
        else:
            for key in by_document[candidate.doc_id]:
                kept_in[key].append(candidate)
    result.groups = union.as_dict()
    _guard(candidates, result, config)
    return result


def buckets(candidates: Iterable[Candidate]) -> dict[int, list[Candidate]]:
    """Group candidates by (band, key); only groups of two or more are returned."""
    members: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        for key in candidate.keys:  # the band's number is hashed into its key
            members[key].append(candidate)
    return {key: bucket for key, bucket in members.items() if len(bucket) > 1}


def _guard(candidates: Iterable[Candidate], result: NearDuplicates, config: DedupConfig) -> None:
    """Keep (or refuse) a source that would lose too much: then the nominations, not the documents, are wrong."""
    total: dict[str, int] = defaultdict(int)
    lost: dict[str, list[str]] = defaultdict(list)
    for candidate in candidates:
        total[candidate.source] += 1
        if candidate.doc_id in result.verdicts:
            lost[candidate.source].append(candidate.doc_id)
    for source, doc_ids in lost.items():
        if len(doc_ids) <= max(config.wipe_out_documents, config.wipe_out_share * total[source]):
            continue
        if config.on_wipe_out == "stop":
            raise DataError(
                f"near dedup would remove {len(doc_ids)} of {total[source]} documents of source '{source}' "
                f"(limit {config.wipe_out_share:.0%}): look at them, then raise corpus.dedup.wipe_out_share"
            )
        result.spared[source] = len(doc_ids)
        for doc_id in doc_ids:
            del result.verdicts[doc_id]


class _Groups:
    """Union-find over doc_ids; a group is named by its smallest id, whatever the order of joining."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, item: str) -> str:
        root = item
        while self.parent.setdefault(root, root) != root:
            root = self.parent[root]
        while self.parent[item] != root:
            self.parent[item], item = root, self.parent[item]
        return root

    def join(self, a: str, b: str) -> None:
        a, b = sorted((self.find(a), self.find(b)))
        self.parent[b] = a

    def as_dict(self) -> dict[str, str]:
        return {item: self.find(item) for item in sorted(self.parent)}


def keys_tuple(keys: U64) -> tuple[int, ...]:
    """Return band keys as Python integers."""
    return tuple(int(key) for key in np.asarray(keys, dtype=np.uint64))


def find_near_copies(pool: Pool, config: DedupConfig, runner: Waves, index: Path | None = None) -> NearCopies:
    """Return the documents whose text occurs in another one that is kept, and who is related to whom.

    Waves: ``near-keys``, ``near-buckets``, ``near-texts``, ``near-verify``; only nominated documents are read.
    DataError where the wipe-out guard stops.
    """
    raise NotImplementedError
