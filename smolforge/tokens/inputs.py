"""What both stages read: documents of the corpus and sets of the synthesize stage.

Input is finished artifacts; output is plain iterators over rows. Bad rows are errors that name file and line.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast
from unicodedata import normalize

from smolforge.corpus.document import read_rows
from smolforge.errors import ConfigError, DataError, nearest
from smolforge.store import StageContext
from smolforge.tokens.template import render

COMPRESSION = "compression"  # a difficulty that needs no model: what zlib leaves of a text


def input_folder(context: StageContext, name: str) -> Path:
    """Return the folder of an input stage; ConfigError if the recipe does not give it."""
    if name not in context.inputs:
        raise ConfigError(f"this stage needs the stage '{name}' as input; it has {sorted(context.inputs)}")
    return context.inputs[name].path


class Row(NamedTuple):
    """A document of the corpus; ``difficulty`` is None where none was asked for."""

    text: str
    language: str
    source: str
    difficulty: float | None


def corpus_rows(
    folder: Path, languages: Sequence[str] | None = None, *, difficulty: str | None = None, form: str | None = None
) -> Iterator[Row]:
    """Yield the documents of a table folder in table order, one part in memory at a time.

    ``difficulty``: ``compression``, or a column of the table, or a key of its ``meta``. ``form``: a Unicode
    normalisation form for the text. ConfigError (at the end) for a wanted language that the table does not have.
    """
    found = set()
    for path in sorted(folder.glob("part-*.parquet")):
        column = difficulty if difficulty in _columns(path) else None
        extra = [column] if column else ["meta"] if difficulty and difficulty != COMPRESSION else []
        for row in read_rows(path, ["text", "language", "source", *extra]):
            found.add(row["language"])
            if languages is None or row["language"] in languages:
                text = normalize(cast(Any, form), row["text"]) if form else row["text"]
                grade = _difficulty(row, difficulty, path) if difficulty else None
                yield Row(text, row["language"], row["source"], grade)
    for language in languages or ():
        if language not in found:
            raise ConfigError(f"languages: '{language}' is not in {folder}{nearest(language, found)}")


def _columns(path: Path) -> set[str]:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    return set(pq.read_schema(path).names)


def _difficulty(row: dict[str, Any], name: str, path: Path) -> float:
    """Return a document's difficulty: the stated number, or what zlib leaves of the text (0 … about 1: dense)."""
    if name == COMPRESSION:
        data = row["text"].encode()
        return len(zlib.compress(data, 6)) / max(1, len(data))
    value = row[name] if name in row else json.loads(row.get("meta") or "{}").get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(
            f"{path}: tokenize.difficulty is '{name}', but a document has {value!r} there; name a column or a key of "
            f"meta that holds a number for every document, or '{COMPRESSION}'"
        )
    return float(value)


def texts_by_language(
    folder: Path, languages: Sequence[str] | None, limit: int, form: str | None = None
) -> dict[str, list[str]]:
    """Return {language: texts} of a table folder, up to ``limit`` bytes of each, languages sorted, in table order."""
    texts: dict[str, list[str]] = {}
    left: dict[str, int] = {}
    for row in corpus_rows(folder, languages, form=form):
        rest = left.setdefault(row.language, limit)
        if rest > 0:
            taken = up_to([row.text], rest)
            texts.setdefault(row.language, []).extend(taken)
            left[row.language] = rest - len(row.text.encode())
    return {name: texts.get(name, []) for name in sorted(left)}


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file; DataError names the file (and its nearest neighbour) or the line."""
    if not path.is_file():
        near = nearest(path.name, [p.name for p in path.parent.glob("*.jsonl")] if path.parent.is_dir() else [])
        raise DataError(f"{path}: no such file{near}")
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}: line {number} is not valid JSON ({error})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}: line {number} is not an object")
            yield row


def rendered(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Render conversation rows as text."""
    for row in rows:
        yield render(row["messages"], mode=row.get("mode", "think"), tools=row.get("tools"))


def up_to(texts: Iterable[str], limit: int) -> list[str]:
    """Take texts until ``limit`` UTF-8 bytes are reached; the last one is cut there, at a character."""
    taken, left = [], limit
    for text in texts:
        if left <= 0:
            break
        data = text.encode()
        taken.append(data[:left].decode(errors="ignore"))
        left -= len(data)
    return taken
