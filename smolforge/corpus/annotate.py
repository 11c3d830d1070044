"""Annotation: everything the decisions need of a document, computed once and without its text.

Input: documents as they were read. Output: a table, row for row beside them, of fingerprint, language, features, model
scores and band keys; every later decision reads its columns and never the text, except to verify near duplicates.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.config import CorpusConfig, DedupConfig
from smolforge.corpus.dedup.exact import fingerprint
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.rules import fineweb
from smolforge.corpus.scoring.config import ToxicityConfig
from smolforge.corpus.scoring.encoder import Scorer, load_scorer
from smolforge.corpus.scoring.toxicity import ToxicityModel
from smolforge.corpus.text import kernel
from smolforge.corpus.text.difficulty import difficulty
from smolforge.corpus.text.features import FEATURES, features_of
from smolforge.corpus.text.language import detect_all

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

Read = tuple[Document, Verdict | None]  # a document, and the verdict of reading where that failed
SCORES = ("quality", "toxicity", "toxic_terms", "toxic_count")
_STRINGS = ("doc_id", "url", "source", "profile", "declared", "label")


def schema(config: CorpusConfig) -> pa.Schema:
    """Return the columns of an annotation table; docs/design/corpus.md says what they hold."""
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in _STRINGS),
            ("bytes", pa.int64()),
            ("characters", pa.int64()),
            ("fingerprint", pa.binary(16)),
            *((name, pa.float32()) for name in ("confidence", "script_share", *FEATURES, "difficulty", *SCORES)),
            ("toxic_passage", pa.string()),
            ("keys", pa.list_(pa.uint64())),
            *((name, pa.float64()) for name in (fineweb.COLUMNS.values() if _asks_fineweb(config) else ())),
        ]
    )


def annotate(read: Sequence[Read], config: CorpusConfig) -> pa.Table:
    """Return the annotations of documents; one that could not be read is an empty text of the declared language."""
    import pyarrow as pa

    documents = [document for document, _ in read]
    texts = [document.text if verdict is None else "" for document, verdict in read]
    declared = [document.language for document in documents]
    found = detect_all(texts, declared, config.languages, config.language.sample_characters)
    labels = [
        label if verdict is None else code
        for label, code, (_, verdict) in zip(found.labels, declared, read, strict=True)
    ]
    measured = features_of(texts, labels)
    profiles = [str(each.meta.get("profile", "prose")) for each in documents]
    columns: dict[str, Any] = {
        "doc_id": [each.doc_id for each in documents],
        "url": [each.url for each in documents],
        "source": [each.source for each in documents],
        "profile": profiles,
        "declared": declared,
        "label": labels,
        "bytes": [each.bytes for each in documents],
        "characters": [len(each.text) for each in documents],
        "fingerprint": [bytes.fromhex(fingerprint(text)) for text in texts],
        "confidence": found.confidence,
        "script_share": found.script_share,
        **measured,
        "difficulty": difficulty(kernel.buffer_of(texts), measured["words"], measured["mean_word_length"]),
        **_scores(texts, labels, config),
        "keys": _keys(texts, labels, config.dedup),
        **(fineweb.columns_of(texts, profiles, labels) if _asks_fineweb(config) else {}),
    }
    names = schema(config)
    return pa.table({field.name: columns[field.name] for field in names}, schema=names)


def _asks_fineweb(config: CorpusConfig) -> bool:
    return any(spec.profile == fineweb.PROFILE for spec in config.sources)


def _keys(texts: Sequence[str], labels: Sequence[str], config: DedupConfig) -> list[NDArray[np.uint64]]:
    """Return the band keys of each text, none for one without words."""
    keys, empty = kernel.nominate(kernel.buffer_of(texts), labels, config.bands, config.rows, config.shingle)
    return [own[:0] if nothing else own for own, nothing in zip(keys, empty, strict=True)]


def _scores(texts: Sequence[str], labels: Sequence[str], config: CorpusConfig) -> dict[str, Any]:
    """Return the columns of ``SCORES``, NaN where the configuration names no model, and the worst passages."""
    unknown = np.full(len(texts), np.nan, np.float32)
    scores = dict.fromkeys(SCORES, unknown)
    passages: Sequence[str] = [""] * len(texts)
    if config.quality is not None:
        scores["quality"] = _quality_model(config.quality.model).probabilities(texts, labels)
    if config.toxicity is not None:
        found = _toxicity_model(config.toxicity).score(texts, labels)
        scores |= {
            "toxicity": found.probability,
            "toxic_terms": found.terms,
            "toxic_count": found.count.astype(np.float32),
        }
        passages = found.passages
    return {**scores, "toxic_passage": list(passages)}


@functools.lru_cache(maxsize=1)
def _toxicity_model(config: ToxicityConfig) -> ToxicityModel:
    return ToxicityModel.load(config)


@functools.lru_cache(maxsize=1)
def _quality_model(path: str) -> Scorer:
    return load_scorer(Path(path).expanduser())
