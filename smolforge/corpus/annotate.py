"""Annotation: everything the decisions need of a document, computed once and without its text.

Input: one shard of documents. Output: one table of annotations (fingerprint, language, features, band keys); the
decisions of all later steps read these and never the text, except to verify near duplicates.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.dedup_exact import fingerprint
from smolforge.corpus.document import Document, read_documents, read_rows, write_table
from smolforge.corpus.features import features
from smolforge.corpus.language import DECLARED_ONLY, Detection, detect
from smolforge.corpus.near_dedup import keys_tuple, nomination_keys

COLUMNS = ("doc_id", "annotation")


@dataclass(frozen=True)
class Annotation:
    """A document without its text. ``language`` is the final label; ``bytes`` are UTF-8."""

    doc_id: str
    source: str
    profile: str
    declared: str
    bytes: int
    characters: int
    fingerprint: str
    detection: Detection
    features: dict[str, float]
    keys: tuple[int, ...]

    @property
    def language(self) -> str:
        """The label the language step gave."""
        return self.detection.label


def annotate(document: Document, config: CorpusConfig, cache: dict[str, int]) -> Annotation:
    """Return the annotation of one document."""
    natural = tuple(code for code in config.languages if code not in DECLARED_ONLY)
    detection = detect(document.text, document.language, natural, config.language.sample_characters)
    return Annotation(
        doc_id=document.doc_id,
        source=document.source,
        profile=str(document.meta.get("profile", "prose")),
        declared=document.language,
        bytes=document.bytes,
        characters=len(document.text),
        fingerprint=fingerprint(document.text),
        detection=detection,
        features=features(document.text, detection.label),
        keys=keys_tuple(nomination_keys(document.text, detection.label, config.dedup, cache)),
    )


def annotate_shard(shard: Path, output: Path, config: CorpusConfig) -> None:
    """Shard job: write the annotations of one shard of documents, in its order."""
    cache: dict[str, int] = {}
    rows = [asdict(annotate(document, config, cache)) for document in read_documents(shard)]
    write_table(output, [{"doc_id": row["doc_id"], "annotation": json.dumps(row)} for row in rows], COLUMNS)


def read_annotations(shard: Path) -> list[Annotation]:
    """Read back what ``annotate_shard`` wrote."""
    found = []
    for row in read_rows(shard, COLUMNS):
        value = json.loads(row["annotation"])
        value["detection"], value["keys"] = Detection(**value["detection"]), tuple(value["keys"])
        found.append(Annotation(**value))
    return found
