"""The index that decontamination searches: n-grams of questions, and the words of answers and passages.

Input: items of benchmarks. Output: arrays, kept in one ``.npz`` file without pickle, with a digest of the items they
were made of. Grams are of 5 words, or of 8 characters where a character is a word (Chinese, Japanese).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.contamination.pack import Item
from smolforge.corpus.dedup.minhash import U64
from smolforge.corpus.scoring.word_stream import Ints, batches, grams, word_stream
from smolforge.errors import ConfigError, FormatError
from smolforge.store import digest_json, write_atomic

FORMAT = "smolforge-contamination-1"
GRAM, CHARACTER_GRAM = 5, 8
STUB = 13  # words: a shorter question ("Which of these is true?") is looked for with its choices
COMMON = 256  # a gram of more questions than this is a form of words; it counts neither for nor against
_PARTS = ("question", "answer", "passage")


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row i is ``values[starts[i] : starts[i + 1]]``."""

    values: NDArray[Any]
    starts: Ints

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True)
class GramTable:
    """The questions whose grams have ``n`` words. ``grams`` uint64 (G,), sorted; ``weights`` float64 (G,): inverse
    document frequency, ln(1 + questions / questions with the gram); ``items``: those of each gram; ``of_item``: places
    in ``grams`` of each item's, ascending; ``totals`` float64 (items,): their weights, 0 where it cannot be found."""

    n: int
    grams: U64
    weights: NDArray[np.float64]
    items: Ragged
    of_item: Ragged
    totals: NDArray[np.float64]


@dataclass(frozen=True)
class ContaminationIndex:
    """``names``: (benchmark, item) each; ``words``: hashes of questions, answers and passages, a row an item."""

    digest: str
    names: tuple[tuple[str, str], ...]
    words: dict[str, Ragged]
    tables: tuple[GramTable, ...]

    @property
    def searchable(self) -> NDArray[np.bool_]:
        """Return which items can be found, bool (items,): the others are too short or nothing but forms of words."""
        return np.asarray(np.sum([table.totals for table in self.tables], axis=0) > 0)

    def save(self, path: Path) -> None:
        """Write the items' words as hashes; grams are made of them at loading, some 40,000 items a second."""
        arrays = {f"{part}_{name}": array for part in _PARTS for name, array in asdict(self.words[part]).items()}
        facts = {"format": FORMAT, "digest": self.digest, "names": self.names}
        by_character = self.tables[1].totals > 0
        file = io.BytesIO()
        np.savez(file, facts=np.array(json.dumps(facts)), by_character=by_character, **arrays)
        write_atomic(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> ContaminationIndex:
        """Read an index; ConfigError where there is none, FormatError where the file is something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                if facts.get("format") != FORMAT:
                    raise FormatError(f"{path}: not an index of format {FORMAT}; build it again")
                words = {p: Ragged(file[f"{p}_values"], file[f"{p}_starts"]) for p in _PARTS}
                by_character = file["by_character"].astype(np.bool_)
            names = tuple((str(benchmark), str(name)) for benchmark, name in facts["names"])
            if by_character.shape != (len(names),) or not all(_fits(each, len(names)) for each in words.values()):
                raise ValueError("rows that do not fit")
            return cls(str(facts["digest"]), names, words, _tables(words["question"], by_character))
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such index; 'smolforge corpus decontaminate' makes one") from None
        except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{path}: not a contamination index ({type(error).__name__}: {error})") from None


def build(items: Sequence[Item]) -> ContaminationIndex:
    """Index items; the same items in the same order give the same index."""
    questions = [item.question for item in items]
    lengths, alone = _words(questions)[1:]
    with_choices = [
        " ".join((item.question, *item.choices)) if length < STUB else item.question
        for item, length in zip(items, lengths, strict=True)
    ]
    question, _, alone = _words(with_choices)
    by_character = 2 * alone > np.diff(question.starts)
    words = {
        "question": question,
        "answer": _words([item.answer for item in items])[0],
        "passage": _words([item.passage for item in items])[0],
    }
    names = tuple((item.benchmark, item.name) for item in items)
    return ContaminationIndex(items_digest(items), names, words, _tables(question, by_character))


def items_digest(items: Sequence[Item]) -> str:
    """Return the digest that an index of these items has."""
    return digest_json([FORMAT, [asdict(item) for item in items]])


def _words(texts: Sequence[str]) -> tuple[Ragged, Ints, Ints]:
    """Return the hashes of the texts' words, their number in each text, and how many are single characters."""
    hashes, lengths, alone = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for begin, end in batches(texts):
        stream = word_stream(texts[begin:end])
        hashes.append(stream.hashes)
        lengths.append(np.diff(stream.firsts))
        alone.append(np.bincount(stream.text[stream.alone], minlength=end - begin))
    length = np.concatenate(lengths)
    return Ragged(np.concatenate(hashes), np.cumsum([0, *length])), length, np.concatenate(alone)


def _tables(question: Ragged, by_character: NDArray[np.bool_]) -> tuple[GramTable, ...]:
    return _table(question, ~by_character, GRAM), _table(question, by_character, CHARACTER_GRAM)


def _table(words: Ragged, chosen: NDArray[np.bool_], n: int) -> GramTable:
    """Turn the chosen rows into grams with postings both ways."""
    count = len(words.starts) - 1
    item = np.repeat(np.arange(count), np.diff(words.starts))
    found = grams(words.values, n)
    whole = (item[: len(found)] == item[n - 1 : n - 1 + len(found)]) & chosen[item[: len(found)]]
    found, item = found[whole], item[: len(whole)][whole]
    order = np.lexsort((item, found))
    found, item = found[order], item[order]
    new = np.ones(len(found), np.bool_)
    new[1:] = (np.diff(found) != 0) | (np.diff(item) != 0)
    found, item = found[new], item[new]  # distinct pairs, by gram and then by item
    unique, place, questions = np.unique(found, return_inverse=True, return_counts=True)
    rare = questions <= COMMON
    weights = np.where(rare, np.log1p(chosen.sum() / questions), 0.0)
    totals = np.bincount(item, weights[place], count).astype(np.float64)
    back = np.lexsort((place, item))
    of_item = Ragged(place[back], np.searchsorted(item[back], np.arange(count + 1)))
    return GramTable(n, unique, weights, Ragged(item, np.cumsum([0, *questions])), of_item, totals)


def _fits(ragged: Ragged, rows: int) -> bool:
    """Return whether starts fit values: nothing read from a file is trusted to index an array."""
    values, starts = ragged.values, ragged.starts
    if values.dtype != np.uint64 or starts.dtype != np.int64 or values.ndim != 1 or starts.shape != (rows + 1,):
        return False
    return bool(starts[0] == 0 and starts[-1] == len(values) and (np.diff(starts) >= 0).all())
