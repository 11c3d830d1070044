"""The thresholds of the checks: a format's file states its own, a recipe may change them for a set.

Input: the ``limits`` of a format and of a recipe. Output: ``Limits``. Nothing here is fitted to a generator: the
shares are what a reader would call "mostly", to be retuned on the rejected table, whose rows hold every measure.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from smolforge.store.config import Config

Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]]


class Pattern(Config):
    """A regular expression that must be found so many times; ``name`` says what it finds."""

    find: str
    at_least: int = Field(1, ge=1)
    name: str = "matches"


class Limits(Config):
    """Lengths in characters; ratios are result to source; rates are shares of word n-grams."""

    least_characters: int = Field(100, ge=1)
    length_ratio: Range = (0.1, 3.0)
    copy_words: int = Field(8, ge=2, le=30, description="n of the n-grams that count as copied from the source")
    copy_rate: Share = 0.6
    grounding: Share = Field(0.9, description="share of the result's numbers and names that the source has")
    repetition: Share = Field(0.3, description="share of word 4-grams that stood there before")
    pattern: Pattern | None = None
    language_confidence: Share = 0.65
    script_share: Share = 0.4
    agreement: Share = Field(0.5, description="more than this share of the samples must agree")
    equations: int = Field(0, ge=0, description="at least so many equations that can be recomputed")
    tests: int = Field(2, ge=1, description="at least so many assert statements")
    seconds: float = Field(5.0, gt=0, le=600, description="of executed code")
    memory_mib: int = Field(256, ge=64, description="of executed code")
    translation_ratio: Range = Field((0.5, 2.0), description="characters, each language by its usual length")
    numbers: Share = Field(1.0, description="share of numbers of two digits and more found on the other side")
    entities: Share = Field(0.7, description="the same for addresses, identifiers and abbreviations")
    chrf: Share = Field(0.45, description="the text against its translation and back")
    judge: int = Field(4, ge=1, le=5, description="least score, where the recipe has a judge")

    def changed(self, values: dict[str, Any]) -> Limits:
        """Return these limits with some replaced; pydantic's ValidationError names what is wrong."""
        return Limits(**{**self.model_dump(), **values})
