"""What both stages read: documents of the corpus and sets of the synthesize stage.

Input is finished artifacts; output is plain iterators over rows. Bad rows are errors that name file and line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from smolforge.corpus.document import read_rows
from smolforge.errors import ConfigError, DataError, nearest
from smolforge.store import StageContext
from smolforge.tokens.template import render


def input_folder(context: StageContext, name: str) -> Path:
    """Return the folder of an input stage; ConfigError if the recipe does not give it."""
    if name not in context.inputs:
        raise ConfigError(f"this stage needs the stage '{name}' as input; it has {sorted(context.inputs)}")
    return context.inputs[name].path


def corpus_texts(folder: Path, languages: Sequence[str] | None) -> dict[str, list[str]]:
    """Return {language: texts} of a table folder, languages sorted, texts in table order.

    ConfigError for a wanted language that the table does not have.
    """
    texts: dict[str, list[str]] = {}
    for path in sorted(folder.glob("part-*.parquet")):
        for row in read_rows(path, ["text", "language"]):
            texts.setdefault(row["language"], []).append(row["text"])
    for language in languages or ():
        if language not in texts:
            raise ConfigError(f"languages: '{language}' is not in {folder}{nearest(language, texts)}")
    return {name: texts[name] for name in sorted(texts) if languages is None or name in languages}


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
