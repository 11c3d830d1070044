"""Configuration of line-level and substring dedup, and of indexes: frozen values, cheap to import."""

from __future__ import annotations

from pydantic import Field

from smolforge.store import Config


class LineConfig(Config):
    """Boilerplate lines. A line is boilerplate on its host (or source, where documents have no host) if it stands in at
    least ``documents`` documents and in at least ``share`` of that host's.

    It is cut at the beginning and end of a document, and inside where ``block`` or more stand together: a single
    repeated line inside is a heading more often. A document that is left with fewer than ``least_characters`` goes.
    """

    documents: int = Field(default=10, ge=2)
    share: float = Field(default=0.1, gt=0, le=1)
    block: int = Field(default=3, ge=1)
    least_characters: int = Field(default=200, ge=0)


class SubstringConfig(Config):
    """Repeated passages. What of at least ``least_bytes`` bytes (UTF-8) stands in a document that comes earlier in keep
    order is cut at whole words. At most ``group_mib`` of text is compared at once, which takes 21 times that memory. A
    document that is left with fewer than ``least_characters`` goes.
    """

    least_bytes: int = Field(default=200, ge=32)
    group_mib: int = Field(default=32, ge=1, le=1024)
    least_characters: int = Field(default=200, ge=0)
