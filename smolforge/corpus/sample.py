"""Samples for calibration: columns of features by language, from documents or from annotations of documents.

Input: Parquet files, folders of them, or the folder of a finished corpus, of which ``annotations/`` is taken. A table
that has every feature as a column is one of annotations and is taken as it is; of any other the column ``text`` is read
and measured. Output: language -> feature -> float32 column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import LANGUAGES
from smolforge.corpus.text.features import FEATURES, features_of_column
from smolforge.corpus.text.language import detect_all
from smolforge.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

Samples = dict[str, dict[str, NDArray[np.float32]]]
_LABELS = ("label", "language")  # of annotations, of documents
_BATCH = 1024


def read_samples(paths: Sequence[Path]) -> Samples:
    """Return the features of every document, by language. DataError names a file that cannot be used, and why."""
    found: dict[str, list[dict[str, NDArray[np.float32]]]] = defaultdict(list)
    for path in _files(paths):
        for batch in _batches(path):
            labels, columns = _measured(batch)
            for label in sorted(set(labels)):
                rows = np.flatnonzero(np.array(labels) == label)
                found[label].append({name: columns[name][rows] for name in FEATURES})
    return {
        label: {name: np.concatenate([part[name] for part in parts]) for name in FEATURES}
        for label, parts in sorted(found.items())
    }


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        own = path / "annotations"  # a finished corpus: its other tables say what became of the same documents
        inside = sorted((own if own.is_dir() else path).rglob("*.parquet")) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"{path}: no Parquet files in this folder")
        yield from inside


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            label = next((name for name in _LABELS if name in names), None)
            if annotated := set(FEATURES) <= set(names):
                columns = list(FEATURES)
            elif "text" in names:
                columns = ["text"]
            else:
                raise DataError(f"{path}: neither a column 'text' nor the features of an annotation table")
            if annotated and label is None:
                raise DataError(f"{path}: annotations without a column 'label'")
            yield from file.iter_batches(_BATCH, columns=[*columns, *([label] if label else [])])
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _measured(batch: pa.RecordBatch) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
    names = batch.schema.names
    label = next((name for name in _LABELS if name in names), None)
    if "text" not in names:
        columns = {name: batch[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in FEATURES}
        return batch[label].to_pylist(), columns
    if label is None:
        texts = [text or "" for text in batch["text"].to_pylist()]
        labels = detect_all(texts, [""] * len(texts), LANGUAGES).labels
    else:
        labels = [each or "" for each in batch[label].to_pylist()]
    return labels, features_of_column(batch["text"], labels)
