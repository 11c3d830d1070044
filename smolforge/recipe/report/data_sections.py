"""The chapters about data: the funnel of documents with what was dropped and why, sources, the tokenizer.

Input: ``Gathered``. Output: ``Section``s.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from smolforge.recipe.report.blocks import Cell, Chart, Note, Section, Table, count, fixed, percent, size
from smolforge.recipe.report.charts import Bar, bar_chart
from smolforge.recipe.report.gather import Gathered

REASONS_SHOWN = 14
FERTILITY = {
    "bytes_per_token": "bytes per token",
    "tokens_per_word": "tokens per word",
    "split_words": "share of words split",
    "parity": "parity with English",
    "copied_alike": "copied alike",
}


def funnel_section(run: Gathered) -> Section:
    """How many documents each step let through, and what the others were dropped for."""
    section = Section("funnel", "Documents", "The recipe has no corpus stage.")
    rows: list[dict[str, Any]] = run.file("corpus", "funnel.json") or []
    if not rows:
        return section
    steps = list(dict.fromkeys(row["step"] for row in rows))
    entered, left = _sum(rows, "documents_in"), _sum(rows, "documents_out")
    first = [Bar("found", entered[steps[0]], colour=0)] if entered[steps[0]] != left[steps[0]] else []
    bars = first + [Bar(f"after {step.replace('_', ' ')}", left[step], colour=0) for step in steps]
    section.add(Chart(bar_chart([("", bars)], x_label="documents"), "Documents that are left after each step."))
    reasons = Counter[str]()
    for row in rows:
        if row["reason"]:
            reasons[f"{row['step'].replace('_', ' ')}: {row['reason']}"] += row["documents_in"]
    shown = [Bar(reason, dropped, colour=1) for reason, dropped in reasons.most_common(REASONS_SHOWN)]
    caption = "Why documents left the stream; held-out documents are kept for evaluation."
    section.add(Chart(bar_chart([("", shown)], x_label="documents"), caption))
    if len(reasons) > REASONS_SHOWN:
        section.add(Note(f"{len(reasons) - REASONS_SHOWN} rarer reasons are in funnel.json."))
    section.add(_languages(rows, steps[-1]))
    return section


def _sum(rows: list[dict[str, Any]], key: str) -> Counter[str]:
    total = Counter[str]()
    for row in rows:
        total[row["step"]] += row[key]
    return total


def _languages(rows: list[dict[str, Any]], last: str) -> Table:
    documents, volume = Counter[str](), Counter[str]()
    for row in rows:
        if row["step"] == last and not row["reason"]:
            documents[row["language"]] += row["documents_out"]
            volume[row["language"]] += row["bytes_out"]
    cells = [[Cell(lang, "code"), count(documents[lang]), size(volume[lang])] for lang, _ in volume.most_common()]
    return Table(["language", "documents kept", "text kept"], cells, "What training text there is, by language.")


def sources_section(run: Gathered) -> Section:
    """Where the text comes from, with versions and licences."""
    section = Section("sources", "Sources and licences", "The recipe has no corpus stage.")
    rows = []
    for row in run.file("corpus", "sources.json") or []:
        name, version = Cell(str(row.get("name", "?"))), Cell(str(row.get("version") or "–"))
        licence = Cell(str(row.get("licence") or "unknown"), "text" if row.get("licence") else "bad")
        rows.append([name, version, licence, count(row.get("documents")), size(row.get("bytes"))])
    section.add(Table(["source", "version", "licence", "documents", "size"], rows))
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
