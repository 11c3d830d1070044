"""The reference page of the corpus names every setting with its default, every verb and every file, and no others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from smolforge.cli.corpus_verb import SUBVERBS
from smolforge.corpus.config import CorpusConfig, DedupConfig, LanguageConfig, PiiConfig, SourceSpec
from smolforge.corpus.dedup.config import LineConfig, SubstringConfig
from smolforge.corpus.document import DROP_FIELDS, FIELDS
from smolforge.corpus.extract.config import ExtractConfig
from smolforge.corpus.scoring.config import DecontaminationConfig, QualityConfig, ToxicityConfig

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "corpus.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[BaseModel]] = {
    "corpus": CorpusConfig, "corpus.sources": SourceSpec, "corpus.extract": ExtractConfig,
    "corpus.language": LanguageConfig, "corpus.dedup": DedupConfig, "corpus.line_dedup": LineConfig,
    "corpus.substring_dedup": SubstringConfig, "corpus.quality": QualityConfig, "corpus.toxicity": ToxicityConfig,
    "corpus.decontaminate": DecontaminationConfig, "corpus.pii": PiiConfig,
}  # fmt: skip


def settings(section: str) -> dict[str, str]:
    """Return key → default as the page has them."""
    part = re.split(r"^##", PAGE.partition(f"\n### {section}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", part, re.MULTILINE))


def written(section: str, name: str, default: Any) -> str:
    """Return a default as the page writes it."""
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        return f"[below](#{section}{name})"
    if default is None or default == "":
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`[{', '.join(default)}]`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_there_with_its_default(section: str) -> None:
    known = {
        name: written(section, name, field.get_default())
        for name, field in SECTIONS[section].model_fields.items()
        if (section, name) != ("corpus", "sources")
    }
    found = settings(section)
    assert section != "corpus" or found.pop("sources"), "whose default the page describes"
    assert found == known


def test_every_verb_is_there() -> None:
    verbs = PAGE.partition("## Verbs")[2].partition("## Files")[0]
    for name in SUBVERBS:
        assert f"corpus {name}" in verbs or f"`{name}`" in verbs, f"docs/reference/corpus.md: no verb '{name}'"


def test_the_columns_of_the_tables_are_those_of_the_code() -> None:
    files = PAGE.partition("## Files")[2]
    assert ", ".join(f"`{name}`" for name in FIELDS) in files
    assert ", ".join(f"`{name}`" for name in DROP_FIELDS) in files
