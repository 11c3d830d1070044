"""Much text from some: documents varied by hashes of their number, with the copies and addresses that a crawl has.

In: texts. Out: shards on disk, half Parquet, half zstd JSON lines. In later rounds every second word that is not
among a language's most frequent gives way to another about as frequent, so that a variant is another document to every
step, with the same letters, lines and function words. In 100 documents five are exact copies of earlier ones, five
near copies, and two hold an e-mail address.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from crawl import draw
from numpy.typing import NDArray

SHARD_BYTES = 64_000_000
_BASE = 40_000_000  # characters that are varied, about: of more, evenly chosen documents
_DOCUMENT = 6000  # characters, about, of a document
_FREQUENT = 150  # words that stay as they are
_BAND = 1024  # ranks of frequency within which words change places; after as many rounds texts come again
_TOKEN = re.compile(r"\w+|\W+")
_COPY, _NEAR, _ADDRESS = 0.05, 0.10, 0.12  # ends of the shares
_FAR = 50_000  # documents between a copy and what it copies, at most


@dataclass(frozen=True)
class Base:
    """A document to vary, and its language ("" where nobody says)."""

    language: str
    text: str


def base_texts(place: Path | None) -> list[Base]:
    """Return texts of a person's own table, or of the help pages and modules of this Python, cut into documents."""
    whole = _own(place) if place is not None else _pythons()
    found = [Base(each.language, piece) for each in whole for piece in _pieces(each.text)]
    return found[:: -(-sum(len(each.text) for each in found) // _BASE)]


def _own(place: Path) -> Iterator[Base]:
    import pyarrow.parquet as pq

    for file in sorted(place.glob("*.parquet")) if place.is_dir() else [place]:
        names = [name for name in ("language", "text") if name in pq.read_schema(file).names]
        for row in pq.read_table(file, columns=names).to_pylist():
            yield Base(row.get("language") or "", row["text"])


def _pythons() -> Iterator[Base]:
    from smolforge.corpus.config import CorpusConfig
    from smolforge.corpus.ingest import Ingestion

    config = CorpusConfig.model_validate({"sources": ["python_stdlib", "pydoc_topics"]})
    return (Base("", each.text) for each in Ingestion(config).documents())


def _pieces(text: str) -> Iterator[str]:
    """Cut a text at blank lines into documents."""
    held: list[str] = []
    size = 0
    for block in text.split("\n\n"):
        held.append(block)
        size += len(block)
        if size >= _DOCUMENT:
            yield "\n\n".join(held)
            held, size = [], 0
    if size >= _DOCUMENT // 10:
        yield "\n\n".join(held)


class Vocabulary:
    """The tokens of one language: words by their frequency, then what stands between them."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_TOKEN.findall(text))
        self._tokens = sorted(counts, key=lambda token: (not _is_word(token), -counts[token], token))
        self._words = sum(map(_is_word, counts))
        self._numbers = {token: number for number, token in enumerate(self._tokens)}

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return the numbers of a text's tokens."""
        return np.array([self._numbers[token] for token in _TOKEN.findall(text)], np.int32)

    def varied(self, tokens: NDArray[np.int32], turn: int) -> str:
        """Return a text with every second word moved ``turn`` places within its band."""
        band = (tokens - _FREQUENT) // _BAND * _BAND + _FREQUENT
        moved = band + (tokens - band + turn) % _BAND
        second = np.arange(len(tokens)) // 2 % 2 == turn % 2  # words and what is between them take turns
        changes = (tokens >= _FREQUENT) & (moved < self._words) & second & (turn > 0)
        return "".join(map(self._tokens.__getitem__, np.where(changes, moved, tokens).tolist()))


def _is_word(token: str) -> bool:
    return token[0].isalnum() or token[0] == "_"


class Variants:
    """Documents without end: ``text(number)`` is the same for the same texts."""

    def __init__(self, texts: Sequence[Base]) -> None:
        by_language: dict[str, list[str]] = {}
        for each in texts:
            by_language.setdefault(each.language, []).append(each.text)
        spoken = {language: Vocabulary(own) for language, own in by_language.items()}
        self._texts = [(spoken[each.language], spoken[each.language].encode(each.text)) for each in texts]

    def text(self, number: int) -> str:
        """Return document ``number``."""
        kind = draw(str(number), "kind")
        if number and kind < _NEAR:
            earlier = number - 1 - int(draw(str(number), "earlier") * min(number, _FAR))
            text = self._variant(earlier)
            return text if kind < _COPY else f"{text}\n\nReproduced as number {number} of this collection."
        text = self._variant(number)
        return f"{text}\n\nWrite to reader.{number}@post-office.fr." if kind < _ADDRESS else text

    def _variant(self, number: int) -> str:
        turn, at = divmod(number, len(self._texts))
        vocabulary, tokens = self._texts[at]
        return vocabulary.varied(tokens, turn)


def write_shards(folder: Path, texts: Sequence[Base], size: int) -> int:
    """Write at least ``size`` bytes of text and return the number of documents."""
    folder.mkdir(parents=True)
    variants = Variants(texts)
    number = written = 0
    for shard in range(-(-size // SHARD_BYTES)):
        rows: list[str] = []
        end = min(size, (shard + 1) * SHARD_BYTES)
        while written < end:
            rows.append(variants.text(number))
            written += len(rows[-1].encode())
            number += 1
        _write(folder / f"shard-{shard:03d}", rows, parquet=shard % 2 == 0)
    return number


def _write(path: Path, rows: list[str], *, parquet: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    if parquet:
        pq.write_table(pa.table({"text": rows}), path.with_suffix(".parquet"), row_group_size=2000, compression="zstd")
        return
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in rows)
    path.with_suffix(".jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
