"""Configuration of what scores a document: quality, toxicity, contamination. Importing this is cheap.

Input: sections of the corpus configuration. Output: frozen values for ``quality_floor``, ``toxicity`` and
``decontaminate``.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from smolforge.store import Config


class QualityConfig(Config):
    """Which documents a quality model keeps: from ``floor`` on (a probability), or each language's best ``top`` share.

    ``soft``: also keep what is below, with probability (1 + floor - score) ** -soft, drawn from a hash of its id: the
    larger, the stricter (GPT-3 took 9, arXiv 2005.14165).
    """

    model: str
    floor: float | None = Field(default=None, ge=0, le=1)
    top: float | None = Field(default=None, gt=0, le=1)
    soft: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_of_them(self) -> QualityConfig:
        if (self.floor is None) == (self.top is None):
            raise ValueError("give either 'floor' (a probability) or 'top' (the share of each language that is kept)")
        return self


class ToxicityConfig(Config):
    """A document is dropped only where both say so: at least ``terms`` listed terms a word (and two of them), and a
    probability of at least ``floor`` for its worst passage. ``model``: a file; None is the shipped one."""

    model: str | None = None
    floor: float = Field(default=0.5, ge=0, le=1)
    terms: float = Field(default=0.005, ge=0, le=1)


class DecontaminationConfig(Config):
    """Where the benchmarks are, and how alike a passage must be. Lengths are in words (characters where a character is
    a word); defaults are decon's: at most 11 misses in a row inside a match, a score of 0.8 from 50 words on, 1 up to
    20 words, and in proportion between."""

    benchmarks: str
    misses: int = Field(default=11, ge=0, le=100)
    score: float = Field(default=0.8, gt=0, le=1)
    perfect: int = Field(default=20, ge=1)
    relaxed: int = Field(default=50, ge=2)

    @model_validator(mode="after")
    def _in_order(self) -> DecontaminationConfig:
        if self.relaxed <= self.perfect:
            raise ValueError("'relaxed' must be more words than 'perfect'")
        return self
