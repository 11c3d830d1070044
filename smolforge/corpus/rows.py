"""What a reader yields: a row of a file, with its text, with a page still to be extracted, or with why it failed.

Input: the readers of ``ingest``. Output: rows that ``units.read_unit`` turns into documents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from smolforge.corpus.document import Verdict

STEP = "ingest"
MAX_ROW_BYTES = (
    16 << 20
)  # of one line, cell, page or record; what is longer is no document but a damaged or hostile one


@dataclass(frozen=True)
class Page:
    """A web page as it was received. ``charset`` is what the HTTP header says ("" where it says nothing);
    ``crawled`` is true for a page that nobody chose by hand: the gates of ``extract`` apply to it."""

    html: bytes
    charset: str = ""
    crawled: bool = False


@dataclass(frozen=True)
class Row:
    """``position`` is the place inside the file ("" for the whole file). ``fields`` may hold ``url``, ``licence``,
    ``language``, ``profile`` and what belongs into the document's ``meta``."""

    position: str
    text: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    page: Page | None = None
    verdict: Verdict | None = None


def failed(position: str, reason: str, detail: str, fields: dict[str, Any] | None = None) -> Row:
    """Return a row that could not be read: it becomes a problem of its source and a row of the dropped table."""
    return Row(position, fields=fields or {}, verdict=Verdict(STEP, reason, detail))
