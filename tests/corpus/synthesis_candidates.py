"""A candidate for the checks of generated samples, and the text that it is made of."""

from __future__ import annotations

from typing import Any

from smolforge.corpus.document import Document
from smolforge.corpus.synthesize.candidate import Candidate

SOURCE = (
    "The lighthouse of Aveiro was built between 1885 and 1893. It is 62 metres high and stands on the sand of the "
    "coast; its light is seen 23 nautical miles out at sea. A spiral stair of 271 steps leads to the lantern, and a "
    "lift has gone up beside it since 1958. Visitors may climb it on Wednesday afternoons without paying anything."
)


def candidate(text: str, language: str = "en", source: str = SOURCE, **values: Any) -> Candidate:
    document = Document.make(source, url="u", source="s", licence="CC0-1.0", language=language)
    votes = values.pop("votes", None)
    return Candidate(document, values, text, votes=votes)
