"""English documents to measure on: a person's own, or the help pages that come with Python.

In: a Parquet file or folder with a column ``text`` (and ``language``), or nothing. Out: texts, in their order.
"""

from __future__ import annotations

from pathlib import Path


def english_texts(place: Path | None, count: int) -> list[str]:
    """Return at most ``count`` English texts."""
    if place is None:
        from pydoc_data import topics

        return list(topics.topics.values())[:count]
    import pyarrow.parquet as pq

    texts: list[str] = []
    for file in sorted(place.glob("*.parquet")) if place.is_dir() else [place]:
        table = pq.read_table(file)
        languages = table["language"].to_pylist() if "language" in table.column_names else ["en"] * table.num_rows
        texts += [t for t, language in zip(table["text"].to_pylist(), languages, strict=True) if language == "en"]
        if len(texts) >= count:
            break
    return texts[:count]
