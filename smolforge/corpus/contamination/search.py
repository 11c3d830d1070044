"""Decontamination: documents that hold questions of a benchmark, found by the words they share.

Input: texts and an index of benchmarks (``contamination_index``). Output: for each text the items it holds, best first,
with score and matched passage. The logic is decon's: n-grams that occur in a question nominate, hits with few misses
between them form a cluster, and the cluster's share of the question's n-grams, weighted by rarity, is the overlap; an
answer or a passage nearby is evidence too. Short matches must be perfect. Where decon probes every tenth word, all
are looked up here: it costs little in one array, and finds questions of less than fourteen words as well.

A translated question shares no words with its original: put the translated benchmark into the folder.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.contamination.index import CHARACTER_GRAM, ContaminationIndex, GramTable
from smolforge.corpus.dedup.minhash import U64
from smolforge.corpus.scoring.config import DecontaminationConfig
from smolforge.corpus.scoring.word_stream import Ints, WordStream, batches, grams, word_stream

STEP = "decontaminate"
REACH = 0.6  # of the question itself, whatever stands around it
LEAST = {5: 8, CHARACTER_GRAM: 13}  # words or characters that can be evidence at all
NEAR = 50  # words after a question in which its answer may begin


@dataclass(frozen=True)
class Match:
    """An item in a text. ``score``: 0 to 1, of the ``parts`` that were found; ``required``: what their ``length`` in
    words asks for; ``begin``, ``end``: characters of the text in Unicode's form NFC; ``text``: what stands there."""

    benchmark: str
    item: str
    score: float
    required: float
    parts: str
    length: int
    begin: int
    end: int
    text: str

    @property
    def detail(self) -> str:
        """Say it in one line, for a verdict."""
        return f"{self.score:.3f} of {self.parts} (required {self.required:.3f}), {self.item}: {self.text[:200]!r}"


class Contamination:
    """Searches texts for the items of an index."""

    def __init__(self, index: ContaminationIndex, config: DecontaminationConfig) -> None:
        self.index, self.config = index, config
        self._filters = [_Filter(table.grams) for table in index.tables]

    def check_all(self, texts: Sequence[str]) -> list[tuple[Match, ...]]:
        """Return the items each text holds, best first; () for a clean one. Any language: words decide."""
        found: list[tuple[Match, ...]] = []
        for begin, end in batches(texts):
            stream = word_stream(texts[begin:end])
            matches: list[list[Match]] = [[] for _ in range(begin, end)]
            for table, member in zip(self.index.tables, self._filters, strict=True):
                if len(table.grams) and (table.n == min(LEAST) or stream.alone.any()):
                    self._search(stream, table, member, texts[begin:end], matches)
            found += [
                tuple(sorted(each, key=lambda match: (-match.score, -match.length, match.benchmark, match.item)))
                for each in matches
            ]
        return found

    def _search(
        self, stream: WordStream, table: GramTable, member: _Filter, texts: Sequence[str], matches: list[list[Match]]
    ) -> None:
        """Find the candidates of one table: texts that hold enough of a question somewhere, in any order."""
        text, places, which = _hits(stream, table, member)
        pair, first = np.unique(text * len(table.grams) + which, return_index=True)
        text_of, gram = text[first], pair % len(table.grams)
        spans = table.items.starts[gram + 1] - table.items.starts[gram]
        rows = np.repeat(table.items.starts[gram] - np.cumsum(spans) + spans, spans) + np.arange(spans.sum())
        keys = np.repeat(text_of, spans) * len(table.totals) + table.items.values[rows]
        known, inverse = np.unique(keys, return_inverse=True)
        weight = np.bincount(inverse, np.repeat(table.weights[gram], spans), len(known))
        items = known % len(table.totals)
        for key in known[weight >= REACH * table.totals[items]].tolist():
            number, item = divmod(key, len(table.totals))
            begin, end = np.searchsorted(text, [number, number + 1])
            match = self._match(stream, table, item, places[begin:end], which[begin:end], number, texts[number])
            if match is not None:
                matches[number].append(match)

    def _match(
        self, stream: WordStream, table: GramTable, item: int, places: Ints, which: Ints, number: int, text: str
    ) -> Match | None:
        """Judge one item by its best cluster in one text."""
        own = np.isin(which, table.of_item[item])
        places, which = places[own], which[own]
        cuts = np.flatnonzero(np.diff(places) > self.config.misses + 1) + 1
        best: Match | None = None
        for at, ids in zip(np.split(places, cuts), np.split(which, cuts), strict=True):
            overlap = float(table.weights[np.unique(ids)].sum() / table.totals[item])
            if overlap < REACH:
                continue
            first, last = int(at[0]), int(at[-1]) + table.n
            score, required, parts, length = self._score(stream, table.n, item, overlap, first, last, number)
            if score < required or (best is not None and best.score >= score):
                continue
            begin, end = int(stream.begins[first]), int(stream.ends[last - 1])
            benchmark, name = self.index.names[item]
            said = unicodedata.normalize("NFC", text)[begin:end]
            best = Match(benchmark, name, round(score, 6), round(required, 6), parts, length, begin, end, said)
            if best.score == 1:
                break
        return best

    def _score(
        self, stream: WordStream, n: int, item: int, overlap: float, first: int, last: int, number: int
    ) -> tuple[float, float, str, int]:
        """Return score, requirement, parts and length of the best evidence: the question alone or with what is near."""
        question, answer, passage = (self.index.words[part][item] for part in ("question", "answer", "passage"))
        begin, end = stream.firsts[number], stream.firsts[number + 1]
        after = stream.hashes[last : min(end, last + max(NEAR, 2 * len(answer)))]
        reach = max(NEAR, 2 * len(passage))
        around = stream.hashes[max(begin, first - reach) : min(end, last + reach)]
        others = [
            ("answer", len(answer), _share(answer, after, n)),
            ("passage", len(passage), _share(passage, around, n)),
        ]
        others = [part for part in others if part[1]]
        found = []
        for count in range(len(others) + 1):
            for chosen in itertools.combinations(others, count):
                length = len(question) + sum(size for _, size, _ in chosen)
                score = (overlap * len(question) + sum(size * share for _, size, share in chosen)) / length
                required = self._required(length) if length >= LEAST[n] else 2.0
                parts = " and ".join(("question", *(name for name, _, _ in chosen)))
                found.append((score - required, score, required, parts, length))
        return max(found)[1:]

    def _required(self, length: int) -> float:
        config = self.config
        slack = (length - config.perfect) / (config.relaxed - config.perfect)
        return 1 - 1e-9 - (1 - config.score) * min(1.0, max(0.0, slack))


class _Filter:
    """Says fast which hashes cannot be members: one bit for each possible beginning, 16 to 32 bits a member."""

    def __init__(self, members: U64) -> None:
        size = max(12, (16 * len(members)).bit_length())
        self._shift = np.uint64(64 - size)
        seen = np.zeros(1 << size, np.bool_)
        seen[members >> self._shift] = True
        self._bits = np.packbits(seen, bitorder="little")

    def __call__(self, hashes: U64) -> NDArray[np.bool_]:
        place = hashes >> self._shift
        bits: NDArray[np.uint8] = self._bits[place >> np.uint64(3)] >> (place & np.uint64(7)).astype(np.uint8)
        return (bits & 1).astype(np.bool_)


def _hits(stream: WordStream, table: GramTable, member: _Filter) -> tuple[Ints, Ints, Ints]:
    """Return text, place in the stream and place in the table of every gram that is in the table, in order."""
    found = grams(stream.hashes, table.n)
    places = np.flatnonzero(member(found))
    found = found[places]
    which = np.minimum(np.searchsorted(table.grams, found), len(table.grams) - 1)
    text = np.searchsorted(stream.firsts, places, side="right") - 1
    real = (table.grams[which] == found) & (table.weights[which] > 0)
    real &= places + table.n <= stream.firsts[text + 1]
    return text[real], places[real], which[real]


def _share(part: U64, where: U64, n: int) -> float:
    """Return the share of a part's n-grams that occur in ``where``; of a part that is short: 1 if it does, else 0."""
    n = len(part) if len(part) < 2 * n else n
    if not n or len(where) < n:
        return 0.0
    wanted = np.unique(grams(part, n))
    return float(np.isin(wanted, grams(where, n)).mean())
