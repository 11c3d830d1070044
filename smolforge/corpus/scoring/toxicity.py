"""Toxicity: a list of insults is one sign, a model of the passage around them the other; both must agree.

Input: texts and languages. Output: for each text the share of its words that are listed (``rules/toxicity/terms.json``,
hashes only), the probability that its worst passage is abuse, and that passage. The model is of ``quality``'s kind; a
person's own comes from ``smolforge corpus train-quality --label toxic``.

A list alone would drop pages on health and in dialects; a model alone would drop reports about abuse.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.dedup.minhash import U64
from smolforge.corpus.scoring.config import ToxicityConfig
from smolforge.corpus.scoring.quality import QualityModel
from smolforge.corpus.scoring.word_stream import Ints, WordStream, batches, grams, word_stream

STEP = "toxicity"
AROUND = 20  # words on both sides of a listed term that the model reads
MOST_PASSAGES = 50  # of one text
LEAST_TERMS = 2  # a single word, quoted or a typing error of another, drops nothing
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Toxicity:
    """Of n texts: ``terms`` float32 (n,), the share of listed terms among the words; ``count`` int64 (n,), how many;
    ``probability`` float32 (n,), of the worst passage, 0 where no term is listed; ``passages``: those, "" elsewhere."""

    terms: F32
    count: Ints
    probability: F32
    passages: tuple[str, ...]


class ToxicityModel:
    """Scores texts with the list and a model of passages."""

    def __init__(self, model: QualityModel) -> None:
        self.model = model

    @classmethod
    def load(cls, config: ToxicityConfig) -> ToxicityModel:
        """Read the configured model, or the one that comes with the package."""
        shipped = importlib.resources.files("smolforge.corpus") / "rules" / "toxicity" / "model.npz"
        with importlib.resources.as_file(shipped) as path:
            return cls(QualityModel.load(Path(config.model).expanduser() if config.model else path))

    def score(self, texts: Sequence[str], languages: Sequence[str]) -> Toxicity:
        """Score texts; a language without a list has no listed terms."""
        found = [self._score(texts[begin:end], languages[begin:end]) for begin, end in batches(texts)]
        return Toxicity(
            np.concatenate([np.empty(0, np.float32), *(each.terms for each in found)]),
            np.concatenate([np.empty(0, np.int64), *(each.count for each in found)]),
            np.concatenate([np.empty(0, np.float32), *(each.probability for each in found)]),
            tuple(passage for each in found for passage in each.passages),
        )

    def _score(self, texts: Sequence[str], languages: Sequence[str]) -> Toxicity:
        stream = word_stream(texts)
        hits = _hits(stream, languages)
        text_of = stream.text[hits]
        count = np.bincount(text_of, minlength=len(texts))
        where = [
            (number, *span) for number in np.unique(text_of) for span in _spans(hits[text_of == number], stream, number)
        ]
        pieces = [
            unicodedata.normalize("NFC", texts[number])[stream.begins[first] : stream.ends[last]]
            for number, first, last in where
        ]
        scores = self.model.probabilities(pieces, [languages[number] for number, _, _ in where])
        worst, passages = np.zeros(len(texts), np.float32), [""] * len(texts)
        for (number, _, _), piece, score in zip(where, pieces, scores, strict=True):
            if score > worst[number]:
                worst[number], passages[number] = score, piece
        words = np.maximum(1, np.diff(stream.firsts))
        return Toxicity((count / words).astype(np.float32), count.astype(np.int64), worst, tuple(passages))


def judge(found: Toxicity, config: ToxicityConfig) -> NDArray[np.bool_]:
    """Return which texts are dropped, bool (n,): those where the list and the model agree."""
    listed = (found.terms >= config.terms) & (found.count >= LEAST_TERMS)
    dropped: NDArray[np.bool_] = listed & (found.probability >= config.floor)
    return dropped


def term_hash(term: str) -> tuple[int, int]:
    """Return the number of words of a term and its hash, as ``terms.json`` has them."""
    hashes = word_stream([term]).hashes
    return len(hashes), int(grams(hashes, len(hashes))[0])


@functools.lru_cache(maxsize=1)
def _terms() -> dict[str, dict[int, U64]]:
    place = importlib.resources.files("smolforge.corpus") / "rules" / "toxicity" / "terms.json"
    found = json.loads(place.read_text(encoding="utf-8"))["terms"]
    return {
        code: {int(n): np.array([int(term, 16) for term in terms], np.uint64) for n, terms in by_length.items()}
        for code, by_length in found.items()
    }


def _hits(stream: WordStream, languages: Sequence[str]) -> Ints:
    """Return the places of the listed terms' first words, ascending."""
    codes = np.array([languages[number] for number in range(len(stream.firsts) - 1)], dtype=object)
    of_word, hits = stream.text, np.zeros(len(stream.hashes), np.bool_)
    for code in sorted(set(languages) & set(_terms())):
        own = np.flatnonzero((codes == code)[of_word])
        for n, terms in _terms()[code].items():
            found = grams(stream.hashes, n)
            at = own[own < len(found)]
            at = at[np.isin(found[at], terms)]
            hits[at[of_word[at] == of_word[at + n - 1]]] = True
    return np.flatnonzero(hits)


def _spans(hits: Ints, stream: WordStream, number: int) -> list[tuple[int, int]]:
    """Return first and last word of the passages around a text's hits; passages that overlap are one."""
    low, high = stream.firsts[number], stream.firsts[number + 1] - 1
    cuts = np.flatnonzero(np.diff(hits) > 2 * AROUND) + 1
    groups = np.split(hits, cuts)[:MOST_PASSAGES]
    return [(int(max(low, group[0] - AROUND)), int(min(high, group[-1] + AROUND))) for group in groups]
