"""Configuration of extraction: how much a page may cost, and what it must have to be worth a careful look.

Input: the ``extract`` section of ``corpus``. Output: frozen values. Importing this is cheap.
"""

from __future__ import annotations

from pydantic import Field

from smolforge.store import Config


class ExtractConfig(Config):
    """Limits and gates of extraction.

    ``seconds`` of processor time and ``memory_mib`` are what one page may take before it is dropped. Of crawled pages
    only those go on whose text has ``min_words`` words in a wanted language. ``careful`` turns the second extractor
    off or on; it is believed where it finds at least ``agreement`` of the words that the first one found.
    """

    seconds: float = Field(default=10.0, gt=0)
    memory_mib: int = Field(default=1024, ge=128)
    min_words: int = Field(default=40, ge=0)
    careful: bool = True
    agreement: float = Field(default=0.4, ge=0, le=1)
