"""One component of nominated documents: which of them go, into which, and who is related to whom.

Input: its documents in keep order. Output: for each, why it goes, or that it stays; and groups. Memory is bounded:
texts beyond ``CACHE_BYTES`` are read again when needed, and no bucket grows beyond the number of comparisons.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.minhash import U64, contained_share

U32 = NDArray[np.uint32]
Pair = tuple[U32, U32]  # shingles and words
_NONE = np.empty(0, np.uint32), np.empty(0, np.uint32)
CACHE_BYTES = 64 << 20
INDEXED = 0  # tier of documents of a saved index: they stay


@dataclass(frozen=True)
class Nominated:
    """A document in a component; ``tier`` 0 is the saved index, 1 sources that go ahead, 2 all others.

    ``keys`` uint64 (bands,); ``subjects``, and shingles and words (``text``) as of ``near_texts.Print``; ``again``
    reads the latter once more.
    """

    component: int
    tier: int
    characters: int
    source: int
    doc_id: str
    place: int
    keys: U64
    subjects: U32
    text: Pair
    again: Callable[[], Pair]

    @property
    def order(self) -> tuple[int, int, int, int, str]:
        """Component, then keep order: tier, longest text, earliest source, smallest id."""
        return self.component, self.tier, -self.characters, self.source, self.doc_id


@dataclass(frozen=True)
class Found:
    """``partner`` stays instead of ``document``; ``score`` is the share of it that occurs there."""

    document: Nominated
    partner: Nominated
    score: float


class Component:
    """Judges the documents of one component in keep order.

    A document is compared with kept ones that share bands, at most ``max_comparisons``: those that share most first,
    then in keep order. It goes if ``containment`` of its shingles occur in one of them, and all its subjects: a word
    that it says again and again and that the other never says makes it another document of the same template.
    """

    def __init__(self, number: int, config: DedupConfig, cache_bytes: int = CACHE_BYTES) -> None:
        self.number = number
        self._config = config
        self._kept: list[Nominated] = []
        self._buckets = Buckets(config.max_comparisons)
        self._texts = Cache(cache_bytes)
        self._related = Relations()

    def offer(self, document: Nominated) -> Found | None:
        """Take the next document; return why it goes, or None: it stays."""
        best: Found | None = None
        if document.tier != INDEXED:
            best = self._best(document)
        if best and best.score >= self._config.containment:
            return best
        self._buckets.add(document.keys.tolist(), len(self._kept))
        self._texts.put(len(self._kept), document.text)
        self._kept.append(replace(document, text=_NONE))
        return None

    def groups(self) -> list[tuple[int, int, str]]:
        """Return (place, place of the group, its id) of related documents."""
        return self._related.groups()

    def _best(self, document: Nominated) -> Found | None:
        best: Found | None = None
        for number in self._rivals(document):
            rival = self._kept[number]
            shingles, words = self._texts.get(number, rival.again)
            share = contained_share(document.text[0], shingles)
            same_subject = not len(document.subjects) or contained_share(document.subjects, words) == 1.0
            if same_subject and share > (best.score if best else 0.0):
                best = Found(document, rival, share)
            if share >= self._config.related:
                self._related.join(document, rival)
        return best

    def _rivals(self, document: Nominated) -> list[int]:
        """Return the kept documents to compare with, in keep order."""
        rivals = sorted(self._buckets.sharing(document.keys.tolist()))
        if len(rivals) > self._config.max_comparisons:
            shared = (np.stack([self._kept[number].keys for number in rivals]) == document.keys).sum(axis=1)
            closest = np.argsort(-shared, kind="stable")[: self._config.max_comparisons]
            rivals = [rivals[at] for at in sorted(closest.tolist())]
        return rivals


class Buckets:
    """Kept documents by band key. A bucket holds ``most``; what comes later is put by two bands, by four, and so on, so
    that copies among a hundred thousand pages of one template still meet, and no list grows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._members: dict[int | tuple[int, ...], list[int]] = defaultdict(list)

    def add(self, keys: list[int], number: int) -> None:
        """Put a document under its keys."""
        for band in range(len(keys)):
            for name in _names(keys, band):
                members = self._members[name]
                if len(members) < self._most:
                    members.append(number)
                    break

    def sharing(self, keys: list[int]) -> set[int]:
        """Return the documents that share a bucket."""
        found: set[int] = set()
        for band in range(len(keys)):
            for name in _names(keys, band):
                members = self._members.get(name)
                if not members:
                    break
                found.update(members)
                if len(members) < self._most:
                    break
        return found


def _names(keys: list[int], band: int) -> Iterator[int | tuple[int, ...]]:
    """Yield the names of a band's bucket, of those it overflows into: 1, 2, 4 ... bands from this one on, then all."""
    yield keys[band]
    width = 2
    while width < len(keys):
        end = band + width
        yield tuple(keys[band:end] + keys[: max(0, end - len(keys))])
        width *= 2
    if len(keys) > 1:
        yield tuple(keys)


class Cache:
    """Shingles and words of kept documents, the least recently used read again when ``limit`` bytes are full."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._held: OrderedDict[int, Pair] = OrderedDict()

    def get(self, number: int, read: Callable[[], Pair]) -> Pair:
        """Return a kept document's shingles and words."""
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        text = read()
        self.put(number, text)
        return text

    def put(self, number: int, text: Pair) -> None:
        """Hold a document's shingles and words."""
        self._held[number] = text
        self._bytes += _bytes(text)
        while self._bytes > self._limit and len(self._held) > 1:
            self._bytes -= _bytes(self._held.popitem(last=False)[1])


def _bytes(text: Pair) -> int:
    return text[0].nbytes + text[1].nbytes


class Relations:
    """Union-find over documents; a group is named by the place of its member with the smallest id. Documents of a saved
    index join others, but are no members: the corpus has no place of theirs."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._names: dict[int, tuple[bool, str, int]] = {}
        self._own: set[int] = set()

    def join(self, a: Nominated, b: Nominated) -> None:
        """Put two documents, and all that are related to them, into one group."""
        for each in (a, b):
            self._names.setdefault(each.place, (each.tier == INDEXED, each.doc_id, each.place))
            if each.tier != INDEXED:
                self._own.add(each.place)
        first, second = sorted((self._root(a.place), self._root(b.place)))
        self._parent[second] = first
        self._names[first] = min(self._names[first], self._names[second])

    def _root(self, place: int) -> int:
        root = place
        while self._parent.setdefault(root, root) != root:
            root = self._parent[root]
        while self._parent[place] != root:
            self._parent[place], place = root, self._parent[place]
        return root

    def groups(self) -> list[tuple[int, int, str]]:
        """Return (place, place of the group, its id) in the order of the places."""
        found = ((place, self._names[self._root(place)]) for place in sorted(self._own))
        return [(place, group, doc_id) for place, (_, doc_id, group) in found]
