"""Ingestion: every source of the recipe read into documents, with a record of what could not be read.

Input: source specs. Output: units that are read apart (``units``), or all documents in a fixed order (``Ingestion``),
source records, and the aligned sentences of the catalogues.
"""

from __future__ import annotations

from collections.abc import Iterator

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document
from smolforge.corpus.ingest.aligned import aligned_sentences
from smolforge.corpus.ingest.gettext import catalogues
from smolforge.corpus.ingest.report import Ledger
from smolforge.corpus.ingest.units import Unit, read_unit, units

__all__ = ["Ingestion", "Ledger", "Unit", "aligned", "read_unit", "units"]


def aligned(config: CorpusConfig) -> list[dict[str, str]]:
    """Return the parallel sentences of all catalogues among the sources."""
    found = {}
    for spec in config.sources:
        if spec.kind == "gettext":
            found.update(catalogues(spec, config))
    return list(aligned_sentences(found, config.languages))


class Ingestion:
    """One pass over all sources in this process: iterate ``documents()``, then read ``ledger`` and ``aligned()``."""

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        self.ledger = Ledger()

    def documents(self) -> Iterator[Document]:
        """Yield every document that could be read, in the order of the recipe."""
        for unit in units(self.config, self.ledger):
            read = Ledger()
            for document, verdict in read_unit(unit, self.config, read):
                if verdict is None:
                    yield document
            self.ledger.add(read)

    def aligned(self) -> list[dict[str, str]]:
        """Return the parallel sentences of all catalogues among the sources."""
        return aligned(self.config)
