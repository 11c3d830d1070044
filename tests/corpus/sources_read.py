"""Sources read as the stage reads them: by their units, each through JSON between planning and reading."""

from __future__ import annotations

import json
from typing import Any

from smolforge.corpus.config import CorpusConfig
from smolforge.corpus.document import Document, Verdict
from smolforge.corpus.ingest import Ledger, Unit, read_unit, units
from smolforge.corpus.ingest.report import SourceRecord

Read = tuple[Document, Verdict | None]


def configured(source: Any, **settings: Any) -> CorpusConfig:
    return CorpusConfig.model_validate({"sources": [source if isinstance(source, dict) else str(source)], **settings})


def read(source: Any, **settings: Any) -> tuple[list[Read], SourceRecord]:
    """Read one source by its units, as a JSON value between planning and reading."""
    config = configured(source, **settings)
    ledger = Ledger()
    found: list[Read] = []
    for unit in units(config, ledger):
        part = Ledger()
        found.extend(read_unit(Unit.from_json(json.loads(json.dumps(unit.as_json()))), config, part))
        ledger.add(Ledger.from_json(json.loads(json.dumps(part.as_json()))))
    return found, next(iter(ledger.records.values()))


def texts(found: list[Read]) -> list[str]:
    return [document.text for document, verdict in found if verdict is None]


def reasons(found: list[Read]) -> list[str]:
    return [verdict.reason for _, verdict in found if verdict is not None]
