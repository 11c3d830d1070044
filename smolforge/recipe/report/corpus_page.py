"""The page of a corpus: by itself (``smolforge corpus report``), or as chapters of a run's report.

Input: the folder of a finished corpus stage. Output: sections, or the whole page as HTML text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smolforge.errors import DataError
from smolforge.recipe.report.blocks import Section
from smolforge.recipe.report.corpus_files import CorpusFiles
from smolforge.recipe.report.corpus_findings import (
    benchmarks_section,
    duplicates_section,
    generated_section,
    personal_section,
    problems_section,
)
from smolforge.recipe.report.corpus_sections import dropped_section, funnel_section, languages_section, sources_section
from smolforge.recipe.report.html import page


def corpus_sections(files: CorpusFiles, generated: dict[str, Any] | None = None) -> list[Section]:
    """Return the chapters in reading order; those with nothing to tell are left out, but the first and the sources."""
    every = (
        funnel_section(files), languages_section(files), sources_section(files), dropped_section(files),
        duplicates_section(files), personal_section(files), benchmarks_section(files), problems_section(files),
        generated_section(generated),
    )  # fmt: skip
    return [section for section in every if section.blocks or section.id in ("funnel", "sources")]


def corpus_page(folder: Path, title: str = "", generated: dict[str, Any] | None = None) -> str:
    """Return the page; ``generated`` is the report of a run's generated sets. DataError where the folder is no finished
    corpus, or a file in it is torn."""
    files = CorpusFiles(folder)
    if not files.funnel:
        raise DataError(f"{folder}: no funnel.json: not the folder of a finished corpus stage")
    return page(title or "Corpus", folder.name, corpus_sections(files, generated))
