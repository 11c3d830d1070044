"""The chapters about data: the corpus (``corpus_page``), what was generated, the tokenizer.

Input: ``Gathered``. Output: ``Section``s.
"""

from __future__ import annotations

from typing import Any

from smolforge.recipe.report.blocks import Cell, Chart, Note, Section, Table, count, fixed, percent
from smolforge.recipe.report.charts import Bar, bar_chart
from smolforge.recipe.report.corpus_files import CorpusFiles
from smolforge.recipe.report.corpus_page import corpus_sections
from smolforge.recipe.report.corpus_sections import NO_CORPUS
from smolforge.recipe.report.gather import Gathered

FERTILITY = {
    "bytes_per_token": "bytes per token",
    "tokens_per_word": "tokens per word",
    "split_words": "share of words split",
    "parity": "parity with English",
    "copied_alike": "copied alike",
}


def corpus_chapters(run: Gathered) -> list[Section]:
    """What became of the documents, and what the recipe generated from and beside them."""
    if "corpus" not in run.artifacts:
        return [Section(name, title, NO_CORPUS) for name, title in (("funnel", "Documents"), ("sources", "Sources"))]
    files = CorpusFiles(run.artifacts["corpus"].path, samples=3, clusters=6, members=3)
    return corpus_sections(files, run.file("synthesize", "generated/report.json"))


def made_section(run: Gathered) -> Section:
    """How many rows of each set the recipe generated."""
    section = Section("made", "Generated rows", "The recipe has no synthesize stage.")
    counts = run.artifacts["synthesize"].manifest.counts if "synthesize" in run.artifacts else {}
    made = [[Cell(name, "code"), count(number)] for name, number in _flat(counts).items()]
    return section.add(Table(["generated set", "rows"], made, "Conversations and documents the recipe generated."))


def _flat(counts: dict[str, Any], prefix: str = "") -> dict[str, int]:
    flat: dict[str, int] = {}
    for key, value in counts.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            numbers = [v for v in value.values() if isinstance(v, int)]
            flat |= {name: sum(numbers)} if len(numbers) == len(value) else _flat(value, f"{name}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            flat[name] = value
    return flat


def tokenizer_section(run: Gathered) -> Section:
    """What a token is worth in each language."""
    section = Section("tokenizer", "Tokenizer", "The recipe has no tokenizer stage.")
    languages: dict[str, dict[str, Any]] = run.file("tokenizer", "fertility.json") or {}
    if not languages:
        return section
    if size_of := run.artifacts["tokenizer"].manifest.counts.get("vocab_size"):
        section.add(Note(f"Byte-level BPE with {size_of:,} tokens."))
    worth = [Bar(lang, row["bytes_per_token"]) for lang, row in languages.items() if row.get("bytes_per_token")]
    section.add(Chart(bar_chart([("", worth)], x_label="bytes per token"), "More bytes per token: shorter prompts."))
    parity = [Bar(lang, row["parity"], colour=2) for lang, row in languages.items() if row.get("parity")]
    caption = "Tokens of the same sentences relative to English; the dashed line is English."
    section.add(Chart(bar_chart([("", parity)], x_label="tokens relative to English", line=1.0), caption))
    rows = [[Cell(lang, "code"), *(fixed(row.get(name), 2) for name in FERTILITY)] for lang, row in languages.items()]
    caption = "Copied alike: the share of copied slot values whose tokens in the call also stand in the command."
    section.add(Table(["language", *FERTILITY.values()], rows, caption))
    return section.add(
        *_parity(run.file("tokenizer", "parity.json")), *_compared(run.file("tokenizer", "comparison.json"))
    )


def _parity(report: dict[str, Any] | None) -> list[Chart | Note]:
    """What parity-aware merges changed: plain BPE of the same size, and what was chosen."""
    if not report:
        return []
    after, before = report["measured"], report["plain"]["languages"]
    groups = [(lang, [Bar("plain BPE", before[lang], colour=1), Bar("this", after[lang], colour=0)]) for lang in after]
    note = f"The worst language takes {report['worst']:.2f} times English's tokens; the limit was {report['limit']:g}."
    chart = bar_chart(groups, x_label="tokens relative to English", line=1.0)
    return [Note(note), Chart(chart, "Aligned sentences: plain BPE of the same size, and after parity-aware merges.")]


def _compared(report: dict[str, Any] | None) -> list[Chart | Table]:
    """Other tokenizers on the same text."""
    if not report:
        return []
    languages = sorted({language for row in report.values() for language in row["languages"]})
    groups = [
        (lang, [Bar(name, row["languages"][lang]["bytes_per_token"], colour=i) for i, (name, row) in
                enumerate(report.items()) if row["languages"].get(lang, {}).get("bytes_per_token")])
        for lang in languages
    ]  # fmt: skip
    cells = [
        [Cell(name, "code"), count(row["vocab_size"]), fixed(row["worst_parity"], 2), percent(row.get("unused")),
         fixed(row.get("renyi_efficiency"), 3)]
        for name, row in report.items()
    ]  # fmt: skip
    heads = ["tokenizer", "ids", "worst parity", "unused ids (%)", "Rényi efficiency"]
    caption = "Unused ids and Rényi efficiency depend on the size of the text; compare them within this table."
    chart = bar_chart([group for group in groups if group[1]], x_label="bytes per token")
    return [Chart(chart, "Bytes per token, by tokenizer."), Table(heads, cells, caption)]
