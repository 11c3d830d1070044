"""Ingestion: every source of the recipe read into documents, with a record of what could not be read.

Input: source specs. Output: documents in a fixed order, source records, and the aligned sentences of the catalogues.
"""

from __future__ import annotations

from collections.abc import Iterator

from smolforge.corpus.config import CorpusConfig, SourceSpec
from smolforge.corpus.document import Document
from smolforge.corpus.ingest.aligned import aligned_sentences
from smolforge.corpus.ingest.folder import read_folder
from smolforge.corpus.ingest.gettext import GettextReader
from smolforge.corpus.ingest.python_sources import read_stdlib, read_topics
from smolforge.corpus.ingest.report import Ledger

__all__ = ["Ingestion"]


class Ingestion:
    """One pass over all sources: iterate ``documents()``, then read ``ledger`` and ``aligned()``."""

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        self.ledger = Ledger()
        self._gettext: list[GettextReader] = []

    def documents(self) -> Iterator[Document]:
        """Yield every document with some text, in the order of the recipe, counting it in its source's record."""
        for spec in self.config.sources:
            read = 0
            for document in self._read(spec):
                record = self.ledger.records[document.source]
                if spec.max_bytes is not None and read >= spec.max_bytes:
                    record.leave_out("documents over max_bytes")
                    continue
                if document.text.strip():
                    record.documents += 1
                    record.bytes += document.bytes
                    read += document.bytes
                    yield document

    def _read(self, spec: SourceSpec) -> Iterator[Document]:
        if spec.kind == "python_stdlib":
            return read_stdlib(spec, self.config, self.ledger)
        if spec.kind == "pydoc_topics":
            return read_topics(spec, self.config, self.ledger)
        if spec.kind == "gettext":
            self._gettext.append(GettextReader(spec, self.config))
            return self._gettext[-1].read(self.ledger)
        return read_folder(spec, self.config, self.ledger)

    def aligned(self) -> list[dict[str, str]]:
        """Return the parallel sentences of all catalogues that were read."""
        catalogues = {key: value for reader in self._gettext for key, value in reader.catalogues.items()}
        return list(aligned_sentences(catalogues, self.config.languages))
